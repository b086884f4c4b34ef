"""Examples held in memory, on the device, in batches that any number of workers can share.

For what is small enough, as MNIST: nothing is decoded twice, and views are drawn where they lie.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.data.pairs import epoch_batches, worker_slice
from lessonpipe.device import Worker

View = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def identity_view(x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """No random view at all."""
    return x, y


@dataclass
class TensorBatches:
    """Training batches of `N ...` examples in an order that comes from `seed` alone.

    `view` draws a random view of a global batch, from a generator on the CPU, so that the
    examples are the same whatever the number of workers.
    """

    x: Tensor
    y: Tensor
    batch: int
    seed: int
    worker: Worker
    view: View = identity_view
    samples: int | None = None  # an epoch's length; by default every example once

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-(self.samples or len(self.x)) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """What goes in and what should come out, and the share of the global batch they are."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 500_009)
        wanted = self.samples or len(self.x)
        for indices in epoch_batches(len(self.x), wanted, self.batch, self.seed, epoch):
            share, count = worker_slice(len(indices), self.worker.rank, self.worker.world)
            chosen = indices.to(self.x.device)
            x, y = self.view(self.x[chosen], self.y[chosen], rng)
            yield x[share], y[share], count / len(indices)


@dataclass
class TensorData:
    """Both sides of a data set, each `(x, y)` of as many rows; moved to the device once."""

    train_side: tuple[Tensor, Tensor]
    valid_side: tuple[Tensor, Tensor]
    seed: int
    worker: Worker
    view: View = identity_view

    def __post_init__(self) -> None:
        self.train_side, self.valid_side = (
            (x.to(self.worker.device), y.to(self.worker.device))
            for x, y in (self.train_side, self.valid_side)
        )

    def train_batches(self, phase: TrainPhase) -> TensorBatches:
        """Random views of the training side, `phase.batch` over all workers."""
        x, y = self.train_side
        return TensorBatches(
            x, y, phase.batch, self.seed, self.worker, self.view, phase.samples_per_epoch
        )

    def valid_batches(self, phase: TrainPhase) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation side as it is, in order."""
        x, y = self.valid_side
        for first in range(0, len(x), phase.batch):
            some = slice(first, min(first + phase.batch, len(x)))
            share, count = worker_slice(some.stop - some.start, self.worker.rank, self.worker.world)
            yield x[some][share], y[some][share], count
