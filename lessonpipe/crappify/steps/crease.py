"""Folds: nearly straight, cracked, white lines from edge to edge."""

import math
from typing import ClassVar

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from lessonpipe.crappify.step import Random, Share, Step, WholeRange


class Crease(Step):
    """`count` white cracks; `width` is the range of their width as a share of the shorter side."""

    damage: ClassVar[str] = "creases"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (1, 3)
    width: Share = (0.006, 0.02)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        mask = Image.new("L", picture.size)
        for _ in range(rng.randint_range(self.count)):
            _crack(mask, rng, max(1.5, rng.uniform_range(self.width) * min(picture.size)))
        soft = mask.filter(ImageFilter.GaussianBlur(0.6))
        return ImageChops.screen(picture, Image.merge("RGB", (soft, soft, soft)))


def _crack(mask: Image.Image, rng: Random, thick: float) -> None:
    """Draw one fold as a chain of flakes, whose size varies along it."""
    pen = ImageDraw.Draw(mask)
    x, y = rng.point(*mask.size)
    turn, reach = rng.uniform(0, math.pi), math.hypot(*mask.size)
    bow, wave, strength = (
        rng.gauss(0, 0.02) * reach,
        rng.uniform(0, math.tau),
        rng.uniform(180, 255),
    )
    for i in range(int(-2 * reach / thick), int(2 * reach / thick) + 1):
        along = i * thick / 2
        wear = 0.65 + 0.35 * math.sin(wave + 25 * along / reach) * rng.uniform(0.5, 1)
        offset = bow * (along / reach) ** 2 + rng.gauss(0, 0.12) * thick
        cx = x + along * math.cos(turn) - offset * math.sin(turn)
        cy = y + along * math.sin(turn) + offset * math.cos(turn)
        r = max(0.5, thick / 2 * wear * rng.uniform(0.5, 1.1))
        level = round(strength * (0.5 + 0.5 * wear))
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=level)
