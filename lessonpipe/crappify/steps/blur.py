"""Soften: a lens out of focus."""

from PIL import Image, ImageFilter

from lessonpipe.crappify.step import Draws, Range, Step


class Blur(Step):
    """Gaussian blur of a radius in pixels drawn from `radius`."""

    radius: Range = (0.5, 2)

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        return picture.filter(ImageFilter.GaussianBlur(draws.between(self.radius)))
