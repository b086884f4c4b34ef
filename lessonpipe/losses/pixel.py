"""Pixel by pixel."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import StrictModel

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
        return {"pixel": self.weight * self.errors(output, target).mean()}

    def errors(self, output: Tensor, target: Tensor) -> Tensor:
        """The squared or absolute differences: `B 3 H W`."""
        error = (output - target) / self.std
        return error.square() if self.kind == "mse" else error.abs()


class DamageLossConfig(StrictModel):
    """How much more the pixels count that local damage changed, and finding them.

    `pixel_weight` is of their pixel loss, beside that of all pixels; `mask_weight` of the cross
    entropy of a generator's mask (`output: inpaint`), `positive_weight` of damaged pixels in it.
    `threshold`, in levels of 0...255, is what counts as changed, beyond what all of a picture did.
    """

    pixel_weight: float = Field(0.0, ge=0)
    mask_weight: float = Field(0.0, ge=0)
    positive_weight: float = Field(1.0, gt=0)
    threshold: float = Field(16.0, gt=0)


class DamageLoss(nn.Module):
    """The loss of those pixels alone that local damage changed, and of the mask that finds them.

    `output, target, crappy B 3 H W, logits B 1 H W -> {"damage", "mask"}`, of which a weight of 0
    leaves out its own. Scratches cover a hundredth of a picture: without more weight a network
    first learns what all of it needs.
    """

    def __init__(self, config: DamageLossConfig, pixel: PixelLoss) -> None:
        super().__init__()
        self.config, self.pixel = config, pixel

    def forward(
        self, output: Tensor, target: Tensor, crappy: Tensor, logits: Tensor | None
    ) -> dict[str, Tensor]:
        c, terms = self.config, {}
        damaged = damaged_pixels(crappy, target, c.threshold).float()
        if c.pixel_weight:
            errors = self.pixel.errors(output, target) * damaged
            terms["damage"] = c.pixel_weight * errors.mean()
        if c.mask_weight and logits is not None:
            entropy = F.binary_cross_entropy_with_logits(
                logits.float(), damaged, pos_weight=logits.new_tensor(c.positive_weight).float()
            )
            terms["mask"] = c.mask_weight * entropy
        return terms


@torch.no_grad()
def damaged_pixels(crappy: Tensor, target: Tensor, threshold: float) -> Tensor:
    """Where damage is local: `B 3 H W, B 3 H W -> B 1 H W`, true where a channel changed.

    By more than `threshold` levels of 255, beyond its median over the picture: fading, a cast or
    exposure changes all of it.
    """
    change = crappy.float() - target.float()
    whole = change[..., ::4, ::4].flatten(2).median(dim=2).values[..., None, None]
    return 255 * (change - whole).abs().amax(dim=1, keepdim=True) > threshold
