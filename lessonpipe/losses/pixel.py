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

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """The squared or absolute difference of every sample: `B 3 H W`."""
        error = (output - target) / self.std
        return error.square() if self.kind == "mse" else error.abs()

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"pixel": self.weight * self.errors(output, target).mean()}


class DamageLoss(PixelLoss):
    """The pixel loss once more, of those pixels alone that local damage changed much.

    `B 3 H W, B 3 H W, crappy B 3 H W -> {"damage"}`: the sum over damaged pixels, over all pixels'
    number, so that a picture without damage adds nothing. Scratches cover a hundredth of a picture,
    and without more weight a network first learns what all of it needs.
    """

    threshold = 0.1  # of 0...1, beyond what the picture changed as a whole

    def forward(self, output: Tensor, target: Tensor, crappy: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        errors = self.errors(output, target)
        return {"damage": self.weight * (errors * self.damaged(crappy, target)).mean()}

    @torch.no_grad()
    def damaged(self, crappy: Tensor, target: Tensor) -> Tensor:
        """Where damage is local: `B 1 H W`. Fading changes all of a picture, so its median goes."""
        change = crappy.float() - target.float()
        whole = change[..., ::4, ::4].flatten(2).median(dim=2).values[..., None, None]
        return (change - whole).abs().amax(dim=1, keepdim=True) > self.threshold
