"""Ageing: less contrast, less colour, a yellow cast."""

from typing import ClassVar

from PIL import Image, ImageEnhance

from lessonpipe.crappify.step import Random, Range, Share, Step


class Fade(Step):
    """Lower contrast and saturation, to shares drawn from `contrast` and `colour`, and a cast.

    `cast` is the range of the share of a warm paper tone, from 0 (none) to 1 (nothing else).
    """

    damage: ClassVar[str] = "fading"

    contrast: Range = (0.55, 0.9)
    colour: Range = (0.3, 0.8)
    cast: Share = (0.1, 0.35)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        faded = ImageEnhance.Contrast(picture).enhance(rng.uniform_range(self.contrast))
        faded = ImageEnhance.Color(faded).enhance(rng.uniform_range(self.colour))
        paper = Image.new("RGB", picture.size, (222, 196, 150))
        return Image.blend(faded, paper, rng.uniform_range(self.cast))
