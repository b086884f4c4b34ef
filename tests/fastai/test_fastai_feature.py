"""The feature loss against the lesson's: hooks on a whole VGG, which sees both images."""

import time
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.hook import hook_outputs
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.vgg import cfgs, make_layers

from lessonpipe.losses import FeatureLoss, FeatureLossConfig, PixelLoss
from lessonpipe.losses.feature import gram
from lessonpipe.nets.blocks import Normalize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# of VGG-16's layers by timm's numbers, and by torchvision's
LESSON = ((2, 3, 4), (22, 32, 42))
SHALLOW = ((1, 2), (12, 22))
ALL = ((0, 1, 2, 3, 4), (5, 12, 22, 32, 42))


class HookedLoss(nn.Module):
    """The lesson's terms on normalised images, written for this test alone."""

    def __init__(self, vgg: nn.Module, layers: tuple[int, ...], weights: list[float]) -> None:
        super().__init__()
        self.vgg, self.weights = vgg, weights
        self.hooks = hook_outputs([vgg[i] for i in layers], detach=False)

    def features(self, x: Tensor, clone: bool) -> list[Tensor]:
        self.vgg(x)
        return [stored.clone() if clone else stored for stored in self.hooks.stored]

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        wanted, found = self.features(target, True), self.features(output, False)
        terms = {"pixel": F.l1_loss(output, target)}
        for i, (f, t, w) in enumerate(zip(found, wanted, self.weights, strict=True)):
            terms[f"feat_{i}"] = F.l1_loss(f, t) * w
            terms[f"gram_{i}"] = F.l1_loss(matrix(f), matrix(t)) * w**2 * 5e3
        return terms


def matrix(x: Tensor) -> Tensor:
    n, c, h, w = x.size()
    x = x.view(n, c, -1)
    return (x @ x.transpose(1, 2)) / (c * h * w)


@cache
def pair(layers: tuple[int, ...], hooked: tuple[int, ...]) -> tuple[FeatureLoss, HookedLoss]:
    """Ours and the lesson's with the same weights of VGG."""
    weights = [5.0, 15.0, 2.0, 1.0, 1.0][: len(layers)]
    config = FeatureLossConfig(
        encoder="vgg16_bn", pretrained=False, layers=list(layers), weights=weights
    )
    with torch.device("meta"):  # drawing VGG's 138 million weights takes seconds
        ours = FeatureLoss(config, PixelLoss("l1", STD))
    ours.to_empty(device="cpu")
    ours.normalize, ours.pixel = Normalize(MEAN, STD), PixelLoss("l1", STD)
    torch.manual_seed(0)
    vgg = make_layers(cfgs["D"], batch_norm=True).eval().requires_grad_(False)  # VGG-16's features
    for layer in vgg:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    ours.encoder.load_state_dict(
        dict(zip(ours.encoder.state_dict(), vgg.state_dict().values(), strict=False))
    )
    return ours, HookedLoss(vgg, hooked, weights)


def normal(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def test_the_feature_loss_has_the_lessons_seven_terms_and_their_gradients():
    ours, theirs = pair(*LESSON)
    target = torch.rand(2, 3, 64, 64)
    output = (target * 0.8).requires_grad_()
    terms, others = ours(output, target), theirs(normal(output), normal(target))
    names = {"pixel", "feat_0", "feat_1", "feat_2", "gram_0", "gram_1", "gram_2"}
    assert set(terms) == set(others) == names
    for name in names:
        both = terms[name], others[name]
        assert both[0].item() == pytest.approx(both[1].item(), rel=1e-4), name
        grads = [torch.autograd.grad(value, output, retain_graph=True)[0] for value in both]
        assert (grads[0] - grads[1]).abs().max() < 1e-3 * grads[1].abs().max(), name


def test_all_five_layers_are_the_lessons():
    ours, theirs = pair(*ALL)
    x = torch.rand(1, 3, 64, 64)
    for found, expected in zip(ours.features(x), theirs.features(normal(x), True), strict=True):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_gram_matrix_is_that_of_the_worked_example():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two pixels
    expected = torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4
    assert torch.equal(gram(x), expected)
    assert torch.equal(matrix(x), expected)


def test_the_network_ends_at_the_last_layer_and_the_target_has_no_gradient():
    ours, _ = pair(*LESSON)
    assert sum(isinstance(m, nn.Conv2d) for m in ours.encoder.modules()) == 13
    assert not any(p.requires_grad for p in ours.encoder.parameters())
    output, target = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
    terms = ours(output, target)
    sum(v for k, v in terms.items() if k != "pixel").backward()
    assert output.grad is not None and target.grad is None


def train(loss: nn.Module, target: Tensor) -> None:
    """What a training step asks of the loss."""
    output = (target * 0.8).requires_grad_()
    sum(loss(output, target).values()).backward()


@pytest.mark.parametrize(("which", "at_least"), [(LESSON, 1.0), (SHALLOW, 1.4)])
def test_cutting_the_network_saves_what_follows_the_last_layer(which, at_least):
    """The lesson's own last layer is VGG's last ReLU, so that nothing but a pooling is saved."""
    counts = []
    for loss in pair(*which):
        with FlopCounterMode(display=False) as counter:
            train(loss, torch.rand(1, 3, 32, 32))
        counts.append(counter.get_total_flops())
    ratio = counts[1] / counts[0]
    print(f"layers {which[0]}: the whole VGG takes {ratio:.2f} times the operations")
    assert ratio >= at_least


@pytest.mark.slow
@pytest.mark.parametrize(("which", "at_least"), [(LESSON, 0.8), (SHALLOW, 1.1)])
def test_cutting_the_network_saves_time_when_deep_layers_are_not_needed(which, at_least):
    losses = pair(*which)
    target = torch.rand(1, 3, 96, 96)
    best = [float("inf")] * 2
    for _ in range(4):
        for i, loss in enumerate(losses):
            start = time.process_time()
            train(loss, target)
            best[i] = min(best[i], time.process_time() - start)
    ratio = best[1] / best[0]
    print(f"layers {which[0]}: {ratio:.2f} times as fast as hooks on the whole VGG")
    assert ratio > at_least
