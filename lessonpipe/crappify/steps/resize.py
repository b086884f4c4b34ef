"""Downscaling: detail that is lost."""

from typing import ClassVar

from PIL import Image

from lessonpipe.crappify.step import Random, Sides, Step


class Resize(Step):
    """Bilinear resize to `shorter` pixels on the shorter side, with the same aspect ratio.

    Two numbers are a range, from which one is drawn for each picture. Photos are RGB before this
    step; the lesson's function converts them after it, which differs for palettes alone.
    """

    damage: ClassVar[str] = "shrinking"
    keeps_colour: ClassVar[bool] = True

    shorter: Sides = (96, 96)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        low, high = self.shorter
        shorter = low if low == high else rng.randint_range(self.shorter)
        ratio = shorter / min(picture.size)
        width, height = (max(1, int(side * ratio)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.BILINEAR)
