"""The feature loss against the lesson's way: hooks on a whole VGG, both pictures through it."""

import time

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.hook import hook_outputs
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vgg import cfgs, make_layers

from lessonpipe.losses import FeatureLoss, PixelLoss
from lessonpipe.losses.feature import gram

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WEIGHTS = [5, 15, 2]


class HookedLoss(nn.Module):
    """The lesson's seven terms on normalised pictures, written for this test alone."""

    def __init__(self, vgg: nn.Module, taps: list[int], weights: list[float]) -> None:
        super().__init__()
        self.vgg, self.weights = vgg, weights
        self.hooks = hook_outputs([vgg[i] for i in taps], detach=False)

    def features(self, x: Tensor, clone: bool) -> list[Tensor]:
        self.vgg(x)
        return [kept.clone() if clone else kept for kept in self.hooks.stored]

    def forward(self, made: Tensor, good: Tensor) -> dict[str, Tensor]:
        aim, seen = self.features(good, True), self.features(made, False)
        terms = {"pixel": F.l1_loss(made, good)}
        for i, (s, a, w) in enumerate(zip(seen, aim, self.weights, strict=True)):
            terms[f"feat_{i}"] = F.l1_loss(s, a) * w
            terms[f"gram_{i}"] = F.l1_loss(matrix(s), matrix(a)) * w**2 * 5e3
        return terms


def matrix(x: Tensor) -> Tensor:
    n, c, h, w = x.size()
    x = x.view(n, c, -1)
    return (x @ x.transpose(1, 2)) / (c * h * w)


def pair(taps: list[int], layers: list[int], weights: list[float]) -> tuple[FeatureLoss, nn.Module]:
    """Ours and the lesson's on the same weights; taps are numbered by timm, layers by VGG."""
    torch.manual_seed(0)
    vgg = make_layers(cfgs["D"], batch_norm=True).eval().requires_grad_(False)  # VGG-16's features
    for layer in vgg:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    pixel = PixelLoss("l1", STD)
    ours = FeatureLoss("vgg16_bn", pixel=pixel, taps=taps, weights=weights, pretrained=False)
    ours.eyes.load_state_dict(
        dict(zip(ours.eyes.state_dict(), vgg.state_dict().values(), strict=False))
    )
    return ours, HookedLoss(vgg, layers, weights)


def normal(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def test_the_feature_loss_has_the_lessons_seven_terms_and_their_gradients():
    ours, theirs = pair([2, 3, 4], [22, 32, 42], WEIGHTS)
    good = torch.rand(2, 3, 64, 64)
    made = (good * 0.8).requires_grad_()
    terms, others = ours(made, good), theirs(normal(made), normal(good))
    names = {"pixel", "feat_0", "feat_1", "feat_2", "gram_0", "gram_1", "gram_2"}
    assert set(terms) == set(others) == names
    for name in names:
        both = terms[name], others[name]
        assert both[0].item() == pytest.approx(both[1].item(), rel=1e-4), name
        grads = [torch.autograd.grad(value, made, retain_graph=True)[0] for value in both]
        assert (grads[0] - grads[1]).abs().max() < 1e-3 * grads[1].abs().max(), name


def test_all_five_taps_are_the_lessons():
    ours, theirs = pair([0, 1, 2, 3, 4], [5, 12, 22, 32, 42], [1, 1, 1, 1, 1])
    x = torch.rand(1, 3, 64, 64)
    seen = theirs.features(normal(x), True)
    for mine, other in zip(ours.features(x), seen, strict=True):
        assert mine.shape == other.shape
        assert (mine - other).abs().max() < 1e-4 * other.abs().max()


def test_a_gram_matrix_is_that_of_the_worked_example():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two pixels
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4
    assert torch.equal(gram(x), expected)
    assert torch.equal(matrix(x), expected)


def test_the_network_ends_at_the_last_tap_and_the_target_has_no_gradient():
    ours, _ = pair([2, 3, 4], [22, 32, 42], WEIGHTS)
    assert sum(isinstance(m, nn.Conv2d) for m in ours.eyes.modules()) == 13
    assert not any(p.requires_grad for p in ours.eyes.parameters())
    made, good = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
    terms = ours(made, good)
    sum(v for k, v in terms.items() if k != "pixel").backward()
    assert made.grad is not None and good.grad is None


def learn(loss: nn.Module, good: Tensor) -> None:
    """What a step of training asks of the loss, on its own units."""
    made = (good * 0.8).requires_grad_()
    sum(loss(made, good).values()).backward()


SHALLOW = ([1, 2], [12, 22])
LESSON = ([2, 3, 4], [22, 32, 42])


@pytest.mark.parametrize(("which", "at_least"), [(LESSON, 1.0), (SHALLOW, 1.4)])
def test_cutting_the_network_saves_what_lies_behind_the_last_tap(which, at_least):
    """The lesson's own last tap is VGG's last ReLU, so that nothing but a pooling is saved."""
    counts = []
    for loss in pair(*which, [1.0] * len(which[0])):
        with FlopCounterMode(display=False) as counter:
            learn(loss, torch.rand(1, 3, 64, 64))
        counts.append(counter.get_total_flops())
    ratio = counts[1] / counts[0]
    print(f"taps {which[0]}: the whole VGG takes {ratio:.2f} times the operations")
    assert ratio >= at_least


@pytest.mark.slow
@pytest.mark.parametrize(("which", "at_least"), [(LESSON, 0.8), (SHALLOW, 1.1)])
def test_cutting_the_network_saves_time_when_deep_layers_are_not_asked_for(which, at_least):
    losses = pair(*which, [1.0] * len(which[0]))
    good = torch.rand(2, 3, 96, 96)
    best = [float("inf")] * 2
    for _ in range(4):
        for i, loss in enumerate(losses):
            start = time.process_time()
            learn(loss, good)
            best[i] = min(best[i], time.process_time() - start)
    ratio = best[1] / best[0]
    print(f"taps {which[0]}: {ratio:.2f} times as fast as hooks on the whole VGG")
    assert ratio > at_least
