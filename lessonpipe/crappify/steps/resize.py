"""Downscaling: detail that is lost."""

from typing import ClassVar, Literal

from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Random, Sides, Step

Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Resize(Step):
    """Resize to `shorter` pixels on the shorter side, with the same aspect ratio.

    Two numbers are a range, from which one is drawn for each picture; so is one of the `filters`,
    by Pillow's names. Photos are RGB before this step; the lesson's function converts them after
    it, which differs for palettes alone.
    """

    damage: ClassVar[str] = "shrinking"
    keeps_colour: ClassVar[bool] = True

    shorter: Sides = (96, 96)
    filters: list[Filter] = Field(["bilinear"], min_length=1)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        low, high = self.shorter
        shorter = low if low == high else rng.randint_range(self.shorter)
        ratio = shorter / min(picture.size)
        width, height = (max(1, int(side * ratio)) for side in picture.size)
        kind = self.filters[0] if len(self.filters) == 1 else rng.choice(self.filters)
        return picture.resize((width, height), Image.Resampling[kind.upper()])
