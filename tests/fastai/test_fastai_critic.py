"""Our critic, what judges its answers, and fastai's."""

import pytest
import torch
from fastai.callback.hook import Hooks
from fastai.layers import flatten_model
from fastai.losses import BCEWithLogitsLossFlat
from fastai.vision.gan import AdaptiveLoss, accuracy_thresh_expand, gan_critic
from lessonpipe.nets.summary import lesson_critic, rows
from torch import nn

from lessonpipe.losses import accuracy, adversarial_loss
from lessonpipe.nets import LessonCritic
from tests.fastai import peer


def pair(width: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs, ours = peer.shake(gan_critic(nf=width)), LessonCritic(width)
    peer.give(theirs, ours)
    return ours, theirs


def test_the_critic_has_the_parameters_and_the_grid_of_fastais():
    ours, theirs = lesson_critic(), gan_critic()
    for net in (ours, theirs):
        assert sum(p.numel() for p in net.parameters()) == 44_705_665
    shape = torch.empty(1, 3, 128, 128, device="meta")
    assert ours(shape).shape == (1, 1, 5, 5)
    assert theirs.to("meta")(shape).shape == (1, 25)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_the_critic_answers_and_learns_like_fastais_with_the_same_weights(mode):
    ours, theirs = pair(16)
    peer.same(ours.train(mode), theirs.train(mode), torch.randn(2, 3, 96, 80))


@pytest.mark.slow
@torch.no_grad()
def test_the_whole_critic_answers_like_fastais():
    torch.manual_seed(0)
    theirs, ours = gan_critic(), LessonCritic()
    x = torch.randn(1, 3, 80, 64)
    theirs(x)  # so that spectral norm knows its vectors a little
    peer.give(theirs, ours)
    answer = ours.eval()(x)
    assert answer.shape == (1, 1, 2, 1)
    assert peer.close(answer.flatten(1), theirs.eval()(x))


def test_the_summary_of_the_critic_has_fastais_layers_shapes_and_counts():
    theirs = gan_critic().to("meta").eval()

    def note(module, given, answer):
        return tuple(answer.shape[1:]), sum(p.numel() for p in module.parameters())

    with Hooks(flatten_model(theirs), note) as hooks:
        theirs(torch.empty(1, 3, 128, 128, device="meta"))
    expected = [row for row in hooks.stored if row and row[1]]
    ours = [(row.shape, row.parameters) for row in rows(lesson_critic(), (128, 128))]
    assert [row for row in ours if row[1] > 1] == expected  # fastai does not see the gamma
    assert sum(row[1] for row in ours) == 44_705_665


@pytest.mark.parametrize("real", [True, False])
def test_judging_a_grid_is_fastais_adaptive_loss_with_its_gradient(real):
    grid = torch.randn(4, 1, 5, 6)
    labels = torch.full((4,), int(real))
    ours, theirs = grid.clone().requires_grad_(), grid.flatten(1).clone().requires_grad_()
    loss, other = (
        adversarial_loss(ours, real=real),
        AdaptiveLoss(BCEWithLogitsLossFlat())(theirs, labels),
    )
    loss.backward()
    other.backward()
    assert loss.item() == pytest.approx(other.item(), rel=1e-6)
    assert peer.close(ours.grad.flatten(1), theirs.grad, 1e-6)


@pytest.mark.parametrize("real", [True, False])
def test_accuracy_is_fastais_over_the_expanded_label(real):
    grid = torch.randn(4, 1, 5, 6)
    theirs = accuracy_thresh_expand(grid.flatten(1), torch.full((4,), int(real)))
    assert accuracy(grid, real=real).item() == pytest.approx(theirs.item())
