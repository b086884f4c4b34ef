"""Blots: dark, soft-edged, irregular."""

import math
from typing import Annotated

from PIL import Image, ImageDraw, ImageFilter
from pydantic import Field

from lessonpipe.crappify.step import Draws, Share, Step, WholeRange

Level = Annotated[int, Field(ge=0, le=255)]


class Ink(Step):
    """Ink blots, `count` of them, with a radius that is a `share` of the shorter side."""

    count: WholeRange = (1, 4)
    share: Share = (0.02, 0.08)
    colour: tuple[Level, Level, Level] = (20, 18, 40)

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        mask = Image.new("L", picture.size)
        pen = ImageDraw.Draw(mask)
        for _ in range(draws.whole(self.count)):
            x, y = draws.place(*picture.size)
            radius = draws.between(self.share) * min(picture.size)
            rim = []
            for spoke in range(16):
                angle, far = spoke * math.tau / 16, radius * draws.rng.uniform(0.7, 1.3)
                rim.append((x + far * math.cos(angle), y + far * math.sin(angle)))
            pen.polygon(rim, fill=draws.rng.randint(180, 255))
        soft = mask.filter(ImageFilter.GaussianBlur(0.8))
        return Image.composite(Image.new("RGB", picture.size, self.colour), picture, soft)
