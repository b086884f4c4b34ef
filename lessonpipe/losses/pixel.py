"""Pixel by pixel."""

from typing import Literal

import torch
from torch import Tensor, nn

PixelKind = Literal["mse", "l1"]


class PixelLoss(nn.Module):
    """Mean squared or absolute difference in normalised units: `B 3 H W, B 3 H W -> {"pixel"}`.

    Images are given in 0...1; `std` is what they are divided by, so that figures compare with the
    lesson's, whose images are normalised by ImageNet's statistics.
    """

    std: Tensor

    def __init__(self, kind: PixelKind, std: tuple[float, ...], weight: float = 1.0) -> None:
        super().__init__()
        self.kind, self.weight = kind, weight
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        error = (output - target) / self.std
        squared = self.kind == "mse"
        return {"pixel": self.weight * (error.square() if squared else error.abs()).mean()}
