"""Stains of uneven shape: hard or soft, opaque, tinting or bleached, some with a rim."""

from typing import ClassVar

import numpy as np
from PIL import Image, ImageChops

from lessonpipe.crappify.step import PositiveShare, Random, Share, Step, WholeRange
from lessonpipe.crappify.steps.paint import noise, paint_color


class Stain(Step):
    """`count` stains; `share` is the range of their radius as a share of the shorter side.

    Radii are drawn log-uniformly. The shape is a disc whose edge noise moves in and out.
    """

    damage: ClassVar[str] = "stains"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (1, 4)
    share: PositiveShare = (0.015, 0.25)
    opacity: Share = (0.3, 1.0)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        picture = picture.copy()
        for _ in range(rng.randint_range(self.count)):
            radius = max(2.0, rng.log_uniform(self.share) * min(picture.size))
            x, y = rng.point(*picture.size)
            mask = _blot(radius, rng, rng.uniform_range(self.opacity))
            corner = (round(x - mask.width / 2), round(y - mask.height / 2))
            box = (*corner, corner[0] + mask.width, corner[1] + mask.height)
            below = picture.crop(box)
            paint = paint_color(mask.size, rng)
            kind = rng.choice(("opaque", "tint", "bleach"))
            if kind == "tint":
                paint = ImageChops.multiply(below, paint)
            elif kind == "bleach":
                paint = ImageChops.screen(below, paint)
            picture.paste(paint, corner, mask)
        return picture


def _blot(radius: float, rng: Random, opacity: float) -> Image.Image:
    """A mask of one stain, a square of 2.8 radii a side."""
    side = max(4, round(2.8 * radius))
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2.8 - 1.4
    inside = 1 - np.hypot(axis[:, None], axis[None])  # 1 in the middle, 0 at the radius
    rough = noise((side, side), rng, 5) + 0.5 * noise((side, side), rng, 12)
    field = inside + rng.uniform(0.2, 0.7) * (rough - 0.75)
    soft = max(1.5 / radius, rng.choice((0.02, 0.1, 0.4)))  # at least an edge between pixels
    mask = np.clip(field / soft + 0.5, 0, 1)
    if rng.random() < 0.3:  # dried: most of it is in the rim
        mask = mask * (0.35 + 0.65 * np.exp(-((field / 0.12) ** 2)))
    return Image.fromarray((255 * opacity * mask).astype(np.uint8))
