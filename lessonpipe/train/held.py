"""Examples held in memory, on the device, in batches that any number of workers can share.

For what is small enough, as MNIST: nothing is decoded twice, and views are drawn where they lie.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lessonpipe.data.pairs import share_of, shuffled
from lessonpipe.train.fit import Schedule
from lessonpipe.train.place import Place

View = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def as_they_are(x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """No random view at all."""
    return x, y


@dataclass
class HeldBatches:
    """Training batches of `N ...` examples in an order that comes from `seed` alone.

    `view` draws a random view of a global batch, from a generator on the CPU, so that the
    examples are the same whatever the number of workers.
    """

    x: Tensor
    y: Tensor
    batch: int
    seed: int
    place: Place
    view: View = as_they_are
    examples: int | None = None  # an epoch's length; by default every example once

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-(self.examples or len(self.x)) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """What goes in and what should come out, and the share of the global batch they are."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 500_009)
        wanted = self.examples or len(self.x)
        for indices in shuffled(len(self.x), wanted, self.batch, self.seed, epoch):
            share, count = share_of(len(indices), self.place.rank, self.place.world)
            chosen = indices.to(self.x.device)
            x, y = self.view(self.x[chosen], self.y[chosen], rng)
            yield x[share], y[share], count / len(indices)


@dataclass
class HeldData:
    """Both sides of a data set, each `(x, y)` of as many rows; moved to the device once."""

    train_side: tuple[Tensor, Tensor]
    valid_side: tuple[Tensor, Tensor]
    seed: int
    place: Place
    view: View = as_they_are

    def __post_init__(self) -> None:
        self.train_side, self.valid_side = (
            (x.to(self.place.device), y.to(self.place.device))
            for x, y in (self.train_side, self.valid_side)
        )

    def train(self, phase: Schedule) -> HeldBatches:
        """Random views of the training side, `phase.batch` over all workers."""
        x, y = self.train_side
        return HeldBatches(x, y, phase.batch, self.seed, self.place, self.view, phase.pictures)

    def valid(self, phase: Schedule) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation side as it is, in order."""
        x, y = self.valid_side
        for first in range(0, len(x), phase.batch):
            some = slice(first, min(first + phase.batch, len(x)))
            share, count = share_of(some.stop - some.start, self.place.rank, self.place.world)
            yield x[some][share], y[some][share], count
