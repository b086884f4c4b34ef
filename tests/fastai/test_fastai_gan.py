"""Turns, losses, rates and modes of the GAN against fastai's `GANLearner`, in one run."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.losses import BCEWithLogitsLossFlat
from fastai.optimizer import Adam
from fastai.vision.gan import (
    AdaptiveGANSwitcher,
    AdaptiveLoss,
    FixedGANSwitcher,
    GANDiscriminativeLR,
    GANLearner,
    GANLoss,
    GANModule,
    gan_loss_from_func,
)
from torch import nn

from lessonpipe.config import TrainPhase
from lessonpipe.losses import critic_loss
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.gan_switch import AdaptiveSwitch, FixedSwitch
from tests.fastai import peer
from tests.small import CPU, Batches

LOSSES = [0.9, 0.7, 0.6, 5.0, 0.64, 5.0, 0.65, 0.1, 5.0, 0.66, 0.649, 0.0, 0.3, 0.2, 0.9, 0.1, 0.7]


def our_turns(switch, losses: list[float]) -> list[str]:
    turns = []
    for loss in losses:
        turns.append(switch.turn)
        switch.after_step(loss)
    return turns


def their_turns(switcher: Callback, losses: list[float]) -> list[str]:
    trainer = SimpleNamespace(gen_mode=False)
    trainer.switch = lambda: setattr(trainer, "gen_mode", not trainer.gen_mode)
    switcher.learn = SimpleNamespace(training=True, gan_trainer=trainer)
    switcher("before_train")
    turns = []
    for loss in losses:
        turns.append("generator" if trainer.gen_mode else "critic")
        switcher.learn.loss = loss
        switcher("after_batch")
    return turns


@pytest.mark.parametrize("threshold", [0.65, 0.3, 6.0])
def test_the_adaptive_switch_takes_the_turns_of_fastais(threshold):
    theirs = AdaptiveGANSwitcher(critic_thresh=threshold)
    assert our_turns(AdaptiveSwitch(threshold), LOSSES) == their_turns(theirs, LOSSES)


@pytest.mark.parametrize(("critic", "generator"), [(5, 1), (1, 1), (2, 3)])
def test_the_fixed_switch_takes_the_turns_of_fastais(critic, generator):
    theirs = FixedGANSwitcher(n_crit=critic, n_gen=generator)
    assert our_turns(FixedSwitch(critic, generator), LOSSES) == their_turns(theirs, LOSSES)


class SmallGenerator(nn.Module):
    """A small generator whose outputs are in 0...1, with a batch norm that shows its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 3, 1),
        )
        self.encoder = SimpleNamespace(freeze=lambda frozen, train_bn: None)

    def forward(self, x):
        return torch.sigmoid(self.net(x))


class PatchCritic(nn.Sequential):
    """A small critic with a grid of logits and a batch norm that shows its mode."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 1, 4),
        )


def flat(critic: nn.Module) -> nn.Module:
    """The critic as fastai has it: logits in a row."""
    return nn.Sequential(critic, nn.Flatten())


def networks() -> tuple[SmallGenerator, PatchCritic]:
    torch.manual_seed(0)
    return SmallGenerator(), PatchCritic()


def pixel(output, target, **_):
    return F.mse_loss(output, target)


def functions():
    adversarial = AdaptiveLoss(BCEWithLogitsLossFlat())
    return gan_loss_from_func(pixel, adversarial, weights_gen=(0.7, 50.0))


FIXED = {"kind": "fixed", "critic": 2, "generator": 1}
ADAPTIVE = {"kind": "adaptive", "threshold": 0.65}


def learner(generator, critic, switch=FIXED, switch_eval=True) -> PairGanLearner:
    optim = {"weight_decay": 1e-2, "eps": 1e-5, "beta1": 0}
    config = GanConfig(optim=optim, critic_lr_mult=5, switch=switch, switch_eval=switch_eval)
    loss = lambda output, y: {"pixel": 50 * pixel(output, y)}  # noqa: E731
    return PairGanLearner(generator, critic, config, loss=loss, critic_weight=0.7)


def test_both_losses_are_fastais_with_their_gradients():
    generator, critic = networks()
    module = GANModule(generator, flat(critic))
    loss = GANLoss(*functions(), module)
    x, y = torch.rand(2, 2, 3, 16, 16)
    both = [*generator.parameters(), *critic.parameters()]

    theirs = loss.generator(generator(x), y)
    ours = sum(learner(generator, critic).generator_terms(x, y).values())
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for a, b in zip(*(torch.autograd.grad(v, both) for v in (ours, theirs)), strict=True):
        assert peer.close(a, b)

    generator.requires_grad_(False)
    theirs = loss.critic(module.critic(y), x)
    ours = critic_loss(critic(y), critic(generator(x)))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    weights = list(critic.parameters())
    for a, b in zip(*(torch.autograd.grad(v, weights) for v in (ours, theirs)), strict=True):
        assert peer.close(a, b)


class Watch(Callback):
    """Records whose turn it is, the rate, and which network is in training mode.

    And takes v2 back to v1 in two respects. v1 has one optimizer a network and so have we; v2 has
    a single one for both, which would go on decaying the network whose turn it is not (it steps
    over parameters without gradients). And v2 puts both into training mode when an epoch's
    training begins, so that the idle one would be in evaluation mode after the first switch only.
    """

    order = 100

    def before_fit(self):
        self.steps = []

    def before_train(self):
        self.learn.gan_trainer.switch(self.learn.gan_trainer.gen_mode)

    def before_step(self):
        trainer = self.learn.gan_trainer
        turn = "generator" if trainer.gen_mode else "critic"
        modes = (trainer.generator.training, trainer.critic.training)
        self.steps.append((turn, self.opt.hypers[0]["lr"], modes))

    def after_batch(self):
        for parameter in self.model.parameters():
            parameter.grad = None


def their_run(generator, critic, batches, switcher, switch_eval) -> Watch:
    loader = DataLoader([(x[i], y[i]) for x, y in batches for i in (0, 1)], bs=2, num_workers=0)
    watch = Watch()
    learn = GANLearner(
        DataLoaders(loader, loader, device=torch.device("cpu")),
        generator,
        flat(critic),
        *functions(),
        switcher=switcher,
        switch_eval=switch_eval,
        show_img=False,
        cbs=[watch, GANDiscriminativeLR(5.0)],
        opt_func=partial(Adam, mom=0.0, sqr_mom=0.99, eps=1e-5),
        wd=1e-2,
        wd_bn_bias=True,
        lr=1e-3,
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    return watch


def our_run(learner: PairGanLearner, batches, monkeypatch) -> list:
    steps = []
    generator, critic = learner.generator, learner.critic
    original = torch.optim.AdamW.step

    def step(self, *args, **options):
        group = self.param_groups[0]
        turn = "generator" if group["params"][0] is next(generator.parameters()) else "critic"
        steps.append((turn, group["lr"], (generator.training, critic.training)))
        return original(self, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    phase = TrainPhase(batch=2, epochs=1, max_lr=1e-3)
    fit(learner, [phase], Batches(batches), CPU, seed=0, checkpoint=Checkpoint(None))
    return steps


@pytest.mark.parametrize("switch_eval", [True, False])
@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
def test_a_run_of_turns_ends_with_fastais_weights(kind, switch_eval, monkeypatch):
    torch.manual_seed(3)
    batches = [(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)) for _ in range(12)]
    switches = {
        "fixed": (FIXED, FixedGANSwitcher(n_crit=2, n_gen=1)),
        "adaptive": (ADAPTIVE, AdaptiveGANSwitcher(critic_thresh=0.65)),
    }
    switch, switcher = switches[kind]
    theirs, ours = networks(), networks()
    watch = their_run(*theirs, batches, switcher, switch_eval)
    steps = our_run(learner(*ours, switch, switch_eval), batches, monkeypatch)
    assert [turn for turn, _, _ in steps] == [turn for turn, _, _ in watch.steps]
    assert {turn for turn, _, _ in steps} == {"critic", "generator"}
    assert [modes for _, _, modes in steps] == [modes for _, _, modes in watch.steps]
    for (turn, rate, modes), (_, other, _) in zip(steps, watch.steps, strict=True):
        assert rate == pytest.approx(other) == (5e-3 if turn == "critic" else 1e-3)
        assert modes == ((turn == "generator", turn == "critic") if switch_eval else (True, True))
    for our_net, their_net in zip(ours, theirs, strict=True):
        for our, their in zip(our_net.parameters(), their_net.parameters(), strict=True):
            assert peer.close(our, their)
