"""The trainings of digits: networks to compare, and networks whose loss surface is plotted."""

from dataclasses import dataclass

from pydantic import Field

from lessonpipe.config import StrictModel, TrainPhase
from lessons.digits.nets import Kind
from lessons.sweep import Job, SweepRun

TITLES: dict[Kind, str] = {
    "plain": "plain CNN",
    "residual": "residual network",
    "dense": "dense network",
    "no shortcut": "the same without shortcuts",
}


class Run(SweepRun):
    """One network and its schedule; `ema` is the decay of the weights' moving average.

    `layers` are those of `DigitNetConfig`. With `samples` it learns from so many digits alone,
    which its seed chooses; then its training error is told, too.
    """

    net: Kind
    width: int = Field(1, ge=1)
    layers: int | None = None
    samples: int | None = Field(None, ge=1)
    ema: float = Field(0.0, ge=0, lt=1)

    @property
    def system(self) -> str:
        """The network's title in tables, as `plain CNN, 3 epochs`."""
        width = f" {self.width} times as wide" if self.width > 1 else ""
        layers = f" of {self.layers} layers" if self.layers else ""
        samples = f", {self.samples} digits" if self.samples else ""
        return f"{TITLES[self.net]}{layers}{width}{samples}, {self.epochs} epochs"

    @property
    def cost(self) -> int:
        """About how long it trains, relative to other runs."""
        return self.epochs * self.width


class Surface(StrictModel):
    """The loss around trained networks, on a plane of `points` x `points` weights.

    The plane extends `extent` filter norms from the network; the loss is over so many `samples`.
    """

    nets: list[Kind] = Field(min_length=1)
    blocks: int = Field(ge=1)
    phase: TrainPhase
    points: int = Field(ge=3)
    extent: float = Field(gt=0)
    samples: int = Field(ge=1)

    @property
    def depth(self) -> int:
        """The layers of the networks: five strided convolutions, and blocks of two after four."""
        return 5 + 4 * 2 * self.blocks

    def jobs(self, seed: int) -> "dict[str, SurfaceJob]":
        """Returns the trainings of the networks by `surface_name`."""
        schedule = self.phase.model_dump()
        return {
            surface_name(net): SurfaceJob(Run(net=net, **schedule), seed, self) for net in self.nets
        }


@dataclass(frozen=True)
class SurfaceJob(Job[Run]):
    """A training whose network's loss surface is computed."""

    surface: Surface


def surface_name(net: Kind) -> str:
    """Returns the name of the training whose loss surface is computed."""
    return f"surface {net}"
