"""Blur, as of a lens out of focus."""

from typing import ClassVar

from PIL import Image, ImageFilter

from lessonpipe.crappify.step import Random, Range, Step


class Blur(Step):
    """Gaussian blur; `radius` is the range of its radius in pixels."""

    damage: ClassVar[str] = "blur"
    keeps_colour: ClassVar[bool] = True

    radius: Range = (0.5, 2)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform_range(self.radius)))
