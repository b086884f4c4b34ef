"""Ink blots: dark, round and uneven, with drops around them."""

import math
from typing import Annotated, ClassVar

from PIL import Image, ImageDraw, ImageFilter
from pydantic import Field

from lessonpipe.crappify.step import Random, Share, Step, WholeRange

Level = Annotated[int, Field(ge=0, le=255)]


class Ink(Step):
    """`count` blots; `share` is the range of their radius as a share of the shorter side."""

    damage: ClassVar[str] = "ink blots"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (1, 4)
    share: Share = (0.02, 0.08)
    colour: tuple[Level, Level, Level] = (20, 18, 40)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        mask = Image.new("L", picture.size)
        for _ in range(rng.randint_range(self.count)):
            x, y = rng.point(*picture.size)
            _blot(mask, rng, x, y, rng.uniform_range(self.share) * min(picture.size))
        soft = mask.filter(ImageFilter.GaussianBlur(0.8))
        return Image.composite(Image.new("RGB", picture.size, self.colour), picture, soft)


def _blot(mask: Image.Image, rng: Random, x: float, y: float, radius: float) -> None:
    """Draw a circle whose radius is a sum of waves, and drops around it."""
    pen = ImageDraw.Draw(mask)
    ink = rng.randint(200, 255)
    waves = [(k, rng.gauss(0, 0.22 / k), rng.uniform(0, math.tau)) for k in range(2, 8)]
    rim = []
    for spoke in range(72):
        angle = spoke * math.tau / 72
        far = radius * (1 + sum(high * math.cos(k * angle + at) for k, high, at in waves))
        rim.append((x + far * math.cos(angle), y + far * math.sin(angle)))
    pen.polygon(rim, fill=ink)
    for _ in range(rng.randint(1, 6)):
        angle, far = rng.uniform(0, math.tau), radius * rng.uniform(1.2, 2.2)
        cx, cy = x + far * math.cos(angle), y + far * math.sin(angle)
        r = radius * rng.uniform(0.04, 0.2)
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=ink)
