"""Two networks that take turns; tests/fastai compares a run with fastai's."""

import copy

import pytest
import torch
from torch import nn

from lessonpipe.config import Phase
from lessonpipe.losses import PixelLoss, adversarial_loss, critic_loss
from lessonpipe.nets import Critic, CriticConfig
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig, PairGanLearner
from tests.small import CPU, Batches, generator

TURNS = {"kind": "fixed", "critic": 1, "generator": 1}


@pytest.fixture
def learner():
    net = generator(widths=[16, 8, 8, 8])
    config = CriticConfig(kind="encoder", encoder="test_efficientnet", depth=2, width=8)
    critic = Critic(config, pretrained=False)
    loss = PixelLoss("mse", (0.5,) * 3, 50.0)
    gan = GanConfig(optim={"weight_decay": 0, "beta1": 0}, switch=TURNS)
    return PairGanLearner(net, critic, gan, loss=loss)


def run(learner, steps):
    """One epoch of so many steps on the same pair."""
    phase = Phase(image_px=64, batch=2, epochs=1, max_lr=1e-3, frozen=True)
    x, y = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    data = Batches([(x, y)] * steps)
    return fit(learner, [phase], data, CPU, seed=0, checkpoint=Checkpoint(None))


def changed(net: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    trained = {n for n, p in net.named_parameters() if p.requires_grad}
    return {k for k, v in net.state_dict().items() if k in trained and not v.equal(before[k])}


@pytest.mark.parametrize("turn", ["critic", "generator"])
def test_a_turn_changes_only_the_network_whose_turn_it_is(learner, turn):
    before = [copy.deepcopy(n.state_dict()) for n in (learner.generator, learner.critic)]
    learner.switch.turn = turn
    history = run(learner, 1)
    moved = [
        bool(changed(net, state))
        for net, state in zip((learner.generator, learner.critic), before, strict=True)
    ]
    assert moved == [turn == "generator", turn == "critic"]
    assert history[0][f"{turn}_steps"] == 1


def test_the_network_whose_turn_it_is_not_is_in_evaluation_mode(learner):
    modes = []
    learner.critic.register_forward_pre_hook(
        lambda *_: modes.append((learner.generator.training, learner.critic.training))
    )
    run(learner, 2)
    assert modes[:3] == [(False, True), (False, True), (True, False)]


def test_the_critics_rate_is_five_times_the_generators(learner):
    run(learner, 1)
    rates = {
        turn: [(group["lr"], group["betas"]) for group in optimizer.param_groups]
        for turn, optimizer in learner.optimizers.items()
    }
    assert rates == {"generator": [(1e-3, (0.0, 0.99))], "critic": [(5e-3, (0.0, 0.99))]}


def test_the_critics_loss_is_the_mean_over_photos_and_generated_images(learner):
    x, y = torch.rand(2, 1, 3, 64, 64)
    critic, net = learner.critic.eval(), learner.generator.eval()
    real, fake = critic(y), critic(net(x).clamp(0, 1))
    expected = (adversarial_loss(real, real=True) + adversarial_loss(fake, real=False)) / 2
    assert torch.allclose(critic_loss(real, fake), expected)
    assert torch.allclose(learner.critic_terms(x, y)["critic_loss"], expected)


def test_the_generators_loss_is_of_pixels_and_of_the_critics_logits(learner):
    x, y = torch.rand(2, 1, 3, 64, 64)
    learner.generator.eval()
    learner.critic.eval()
    terms = learner.generator_terms(x, y)
    output = learner.generator(x)
    assert torch.allclose(terms["pixel"], 50 * ((output - y) / 0.5).square().mean())
    assert torch.allclose(terms["critic"], adversarial_loss(learner.critic(output), real=True))
