"""Data sets that fit in memory as tensors, such as MNIST, in batches that workers can share.

Nothing is decoded twice, and random views are made on the worker's device.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.data.pairs import epoch_batches, worker_slice
from lessonpipe.device import Worker, send

View = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def identity_view(x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """No random view at all."""
    return x, y


@dataclass
class TensorBatches:
    """Training batches of `N ...` samples in an order that comes from `seed` alone.

    `view` makes a random view of a global batch, by a generator on the CPU, so that samples are the
    same whatever the number of workers.
    """

    x: Tensor
    y: Tensor
    batch: int
    seed: int
    worker: Worker
    view: View = identity_view
    samples: int | None = None  # an epoch's length; by default every sample once

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-(self.samples or len(self.x)) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yields (input, target, weight), weight = this worker's share of the global batch."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 500_009)
        wanted = self.samples or len(self.x)
        for indices in epoch_batches(len(self.x), wanted, self.batch, self.seed, epoch):
            part, count = worker_slice(len(indices), self.worker.rank, self.worker.world)
            chosen, device = send(indices, self.x.device), self.worker.device
            x, y = self.view(send(self.x[chosen], device), send(self.y[chosen], device), rng)
            yield x[part], y[part], count / len(indices)


@dataclass
class TensorData:
    """Both splits of a data set, each `(x, y)` with equal lengths; moved to the device once."""

    train: tuple[Tensor, Tensor]
    valid: tuple[Tensor, Tensor]
    seed: int
    worker: Worker
    view: View = identity_view

    def __post_init__(self) -> None:
        self.train, self.valid = (
            (x.to(self.worker.device), y.to(self.worker.device))
            for x, y in (self.train, self.valid)
        )

    def train_batches(self, phase: TrainPhase) -> TensorBatches:
        """Random views of the training split, `phase.batch` over all workers."""
        x, y = self.train
        return TensorBatches(
            x, y, phase.batch, self.seed, self.worker, self.view, phase.samples_per_epoch
        )

    def valid_batches(self, phase: TrainPhase) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation split as it is, in order."""
        x, y = self.valid
        for first in range(0, len(x), phase.batch):
            some = slice(first, min(first + phase.batch, len(x)))
            share, count = worker_slice(some.stop - some.start, self.worker.rank, self.worker.world)
            yield x[some][share], y[some][share], count
