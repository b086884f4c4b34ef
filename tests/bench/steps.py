"""Training steps, the same networks and the same work on both sides."""

import gc
from collections.abc import Iterator
from types import ModuleType

import torch
from torch import Tensor, nn

from tests.bench import ours
from tests.bench.rounds import OURS, Row, contest

IMAGE_PX = 128
PLAIN, TUNED = "fastai", "fastai tuned"
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def _theirs() -> ModuleType:
    from tests.bench import theirs  # takes seconds to load: only where it is needed

    return theirs


def _batch(batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures in 0...1 for us, and the same normalised for fastai."""
    x, y = ours.pictures(batch, IMAGE_PX)
    return x, y, (x - MEAN) / STD, (y - MEAN) / STD


def _count(net: nn.Module, learning: bool) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad or not learning)


def train(rounds: int, batch: int = 8, clock: str = "wall") -> Iterator[Row]:
    """A step of the lesson's generator: encoder trained, frozen with and without batch norms."""
    theirs = _theirs()
    x, y, nx, ny = _batch(batch)
    for name, frozen, train_bn in (
        ("all trained", False, True),
        ("encoder frozen but its batch norms", True, True),
        ("encoder frozen", True, False),
    ):
        options = {"frozen": frozen, "train_bn": train_bn}
        steps = {
            OURS: ours.generator_step(x, y, **options),
            PLAIN: theirs.generator_step(nx, ny, tuned=False, **options),
            TUNED: theirs.generator_step(nx, ny, tuned=True, **options),
        }
        mine, other = steps[OURS].learner.net, steps[PLAIN].learn.model
        assert _count(mine, False) == _count(other, False) == 41_413_534
        assert _count(mine, True) == _count(other, True)
        yield contest("train", f"{name}, batch {batch}", steps, rounds, clock)
        del steps
        gc.collect()


def critic(rounds: int, batch: int = 4, clock: str = "wall") -> Iterator[Row]:
    """A step of the critic's pretraining."""
    theirs = _theirs()
    x, y, nx, ny = _batch(batch)
    steps = {
        OURS: ours.critic_step(x, y),
        PLAIN: theirs.critic_step(nx, ny, tuned=False),
        TUNED: theirs.critic_step(nx, ny, tuned=True),
    }
    yield contest("critic", f"{batch} generated and {batch} real", steps, rounds, clock)


def gan(rounds: int, batch: int = 4, clock: str = "wall") -> Iterator[Row]:
    """A turn of each in the GAN."""
    theirs = _theirs()
    x, y, nx, ny = _batch(batch)
    steps = {
        OURS: ours.gan_steps(x, y),
        PLAIN: theirs.gan_steps(nx, ny, tuned=False),
        TUNED: theirs.gan_steps(nx, ny, tuned=True),
    }
    for turn in ("critic", "generator"):
        yield contest(
            "gan",
            f"{turn}'s turn, batch {batch}",
            {who: each[turn] for who, each in steps.items()},
            rounds,
            clock,
        )


def feature(rounds: int, batch: int = 4, clock: str = "wall") -> Iterator[Row]:
    """A step with the lesson's feature loss, generator without attention."""
    theirs = _theirs()
    x, y, nx, ny = _batch(batch)
    shared = {"frozen": False, "attention": False}

    def peer(tuned: bool) -> ours.Step:
        loss = theirs.LessonLoss()
        loss = loss.to(memory_format=torch.channels_last) if tuned else loss
        return theirs.generator_step(nx, ny, tuned=tuned, loss=loss, **shared)

    steps = {
        OURS: ours.generator_step(x, y, feature=True, **shared),
        PLAIN: peer(False),
        TUNED: peer(True),
    }
    yield contest("feature", f"all trained, VGG-16, batch {batch}", steps, rounds, clock)
