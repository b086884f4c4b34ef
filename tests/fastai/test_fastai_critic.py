"""Our critic, its loss and its accuracy against fastai's."""

import pytest
import torch
from fastai.callback.hook import Hooks
from fastai.losses import BCEWithLogitsLossFlat
from fastai.vision.gan import AdaptiveLoss, accuracy_thresh_expand, gan_critic
from torch import nn

from lessonpipe.losses import adversarial_loss, critic_accuracy
from lessonpipe.nets import LessonCritic
from tests.fastai import peer


def pair(width: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs, ours = peer.shake(gan_critic(nf=width)), LessonCritic(width)
    peer.copy_weights(theirs, ours)
    return ours, theirs


def test_the_lessons_critic_has_the_layers_the_counts_and_the_grid_of_fastais():
    with torch.device("meta"):
        nets = LessonCritic(), gan_critic()

    def record(module, args, output):
        return tuple(output.shape[1:]), sum(p.numel() for p in module.parameters())

    layers, shapes = [], []
    for net in nets:
        assert sum(p.numel() for p in net.parameters()) == 44_705_665
        convolutions = [m for m in net.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
        with Hooks(convolutions, record) as hooks:
            output = net.eval()(torch.empty(1, 3, 128, 128, device="meta"))
            layers.append(hooks.stored)
        shapes.append(output.shape)
    assert shapes == [(1, 1, 5, 5), (1, 25)]
    assert layers[0] == layers[1]
    gamma = 1  # of attention, the only parameter outside a convolution
    assert sum(count for _, count in layers[0]) + gamma == 44_705_665


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_the_critic_has_the_output_and_the_gradients_of_fastais(mode):
    ours, theirs = pair(16)
    peer.assert_same(ours.train(mode), theirs.train(mode), torch.randn(2, 3, 96, 80))


@pytest.mark.slow
@torch.no_grad()
def test_the_critic_in_full_width_has_the_output_of_fastais():
    torch.manual_seed(0)
    theirs, ours = gan_critic(), LessonCritic()
    x = torch.randn(1, 3, 80, 64)
    theirs(x)  # one power iteration of spectral norm
    peer.copy_weights(theirs, ours)
    output = ours.eval()(x)
    assert output.shape == (1, 1, 2, 1)
    assert peer.close(output.flatten(1), theirs.eval()(x))


@pytest.mark.parametrize("real", [True, False])
def test_the_loss_of_a_grid_is_fastais_adaptive_loss_with_its_gradient(real):
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


def test_accuracy_is_fastais_over_the_expanded_label():
    real, fake = torch.randn(2, 4, 1, 5, 6)
    theirs = [
        accuracy_thresh_expand(grid.flatten(1), torch.full((4,), label)).item()
        for grid, label in ((real, 1), (fake, 0))
    ]
    assert critic_accuracy(real, fake).item() == pytest.approx(sum(theirs) / 2)
