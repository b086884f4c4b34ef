"""Two networks that take turns."""

import copy

import pytest
import torch
from torch import nn

from lessonpipe.device import Worker
from lessonpipe.losses import PixelLoss, adversarial_loss
from lessonpipe.nets import Critic, Generator
from lessonpipe.train import gan
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Phase
from lessonpipe.train.gan import GanLearner, critic_loss, fit_turns
from lessonpipe.train.gan_switch import FixedSwitch


class Fixed:
    """Batches that are always the same picture pair, in the shape of the real ones."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        rng = torch.Generator().manual_seed(0)
        self.x, self.y = (torch.rand(2, 3, 64, 64, generator=rng) for _ in range(2))

    def train_batches(self, phase):
        return self

    def epoch(self, epoch):
        return ((self.x, self.y, 1.0) for _ in range(self.steps))

    def valid_batches(self, phase):
        return iter([(self.x, self.y, 2)])


@pytest.fixture
def learner():
    torch.manual_seed(0)
    generator = Generator(
        "tf_efficientnet_lite0", pretrained=False, widths=[16, 8, 8, 8], head=8, norm="none"
    )
    critic = Critic("encoder", pretrained=False, depth=2, width=8)
    return GanLearner(generator, critic, PixelLoss("mse", (0.5,) * 3, 50.0))


def run(learner, steps, switch, **options):
    options = {
        "critic_times": 5,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "switch_eval": True,
        "ema": 0.0,
        "seed": 0,
        "checkpoint": Checkpoint(None),
    } | options
    epochs = options.pop("epochs", 1)
    phase = Phase(image_px=64, batch=2, epochs=epochs, max_lr=1e-3, frozen=True)
    worker = Worker(torch.device("cpu"), torch.float32)
    return fit_turns(learner, phase, Fixed(steps), worker, switch=switch, **options)


def changed(net: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    learning = {n for n, p in net.named_parameters() if p.requires_grad}
    return {k for k, v in net.state_dict().items() if k in learning and not v.equal(before[k])}


def test_on_a_critic_turn_the_generator_stays_as_it_is_and_the_other_way_round(learner):
    for turn in ("critic", "generator"):
        before = [copy.deepcopy(n.state_dict()) for n in (learner.generator, learner.critic)]
        history = run(learner, 1, FixedSwitch(turn=turn))
        moved = [
            bool(changed(net, state))
            for net, state in zip((learner.generator, learner.critic), before, strict=True)
        ]
        assert moved == [turn == "generator", turn == "critic"]
        assert history[0][f"{turn}_steps"] == 1


def test_the_network_whose_turn_it_is_not_is_in_evaluation_mode(learner, monkeypatch):
    seen = []
    original = gan.judge

    def look(logits, *, real):
        seen.append((learner.generator.training, learner.critic.training))
        return original(logits, real=real)

    monkeypatch.setattr(gan, "judge", look)
    run(learner, 2, FixedSwitch(1, 1))
    assert seen[:3] == [(False, True), (False, True), (True, False)]


def test_the_critics_rate_is_five_times_the_generators(learner, monkeypatch):
    rates = []
    original = gan.adamw

    def note(groups, lr, **options):
        rates.append((lr, options["betas"]))
        return original(groups, lr, **options)

    monkeypatch.setattr(gan, "adamw", note)
    run(learner, 1, FixedSwitch())
    assert rates == [(1e-3, (0.0, 0.99)), (5e-3, (0.0, 0.99))]


def test_the_critics_loss_is_the_mean_of_both_sides(learner):
    fake, good = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    critic = learner.critic.eval()
    expected = (
        adversarial_loss(critic(good), real=True) + adversarial_loss(critic(fake), real=False)
    ) / 2
    assert torch.allclose(critic_loss(critic(good), critic(fake)), expected)


def test_the_generator_pays_for_pixels_and_for_what_the_critic_says(learner):
    x, y = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    learner.generator.eval()
    learner.critic.eval()
    terms = learner.loss_terms(x, y)
    made = learner.generator(x)
    assert torch.allclose(terms["pixel"], 50 * ((made - y) / 0.5).square().mean())
    assert torch.allclose(terms["critic"], adversarial_loss(learner.critic(made), real=True))
