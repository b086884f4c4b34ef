"""Small networks and batches for tests of networks, losses and training."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.device import Worker
from lessonpipe.nets import Generator, UnetConfig

CPU = Worker(torch.device("cpu"), torch.float32)


def unet_config(**options: Any) -> UnetConfig:
    """A U-Net of 0.2 million parameters on timm's tiny encoder, or with other `options`."""
    small = {"encoder": "test_efficientnet", "widths": [16, 16, 8, 8], "head": 8, "norm": "none"}
    return UnetConfig(**(small | options))


def generator(**options: Any) -> Generator:
    """An untrained generator of `unet_config`, the same at every call."""
    torch.manual_seed(0)
    return Generator(unet_config(**options), pretrained=False)


class Batches:
    """The same batches `(x, y)` in every epoch, for any phase; the first is the validation set."""

    def __init__(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.batches, self.steps = batches, len(batches)

    def train_batches(self, phase: TrainPhase) -> "Batches":
        return self

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        return ((x, y, 1.0) for x, y in self.batches)

    def valid_batches(self, phase: TrainPhase) -> Iterator[tuple[Tensor, Tensor, float]]:
        x, y = self.batches[0]
        return iter([(x, y, len(x))])
