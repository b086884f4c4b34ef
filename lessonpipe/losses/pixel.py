"""Pixel by pixel."""

from typing import Literal

import torch
from torch import Tensor, nn

PixelKind = Literal["mse", "l1"]


class PixelLoss(nn.Module):
    """Mean squared or absolute difference in normalised units: `B 3 H W, B 3 H W -> {"pixel"}`.

    Pictures are given in 0...1; `std` is what they are divided by, so that figures compare with
    the lesson's, whose pictures are normalised.
    """

    std: Tensor

    def __init__(self, kind: PixelKind, std: tuple[float, ...], weight: float = 1.0) -> None:
        super().__init__()
        self.kind, self.weight = kind, weight
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, made: Tensor, good: Tensor) -> dict[str, Tensor]:
        off = (made - good) / self.std
        return {"pixel": self.weight * (off.square() if self.kind == "mse" else off.abs()).mean()}
