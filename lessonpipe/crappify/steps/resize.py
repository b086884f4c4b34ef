"""Shrink: detail that is gone for good."""

from PIL import Image

from lessonpipe.crappify.step import Random, Sides, Step


class Resize(Step):
    """Bilinear resize until the shorter side is `shorter` pixels, keeping the aspect ratio.

    Two numbers are a range from which each picture's own is drawn. Photos are RGB before this
    step; the lesson's function converts them after it, which differs for palettes alone.
    """

    shorter: Sides = (96, 96)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        low, high = self.shorter
        shorter = low if low == high else rng.randint_range(self.shorter)
        ratio = shorter / min(picture.size)
        width, height = (max(1, int(side * ratio)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.BILINEAR)
