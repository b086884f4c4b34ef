"""Ageing: less contrast, less colour, a yellow cast."""

from typing import ClassVar

from PIL import Image, ImageEnhance

from lessonpipe.crappify.step import Random, Range, Share, Step


class Fade(Step):
    """Lower contrast and saturation, to shares drawn from `contrast` and `colour`, and a cast.

    `cast` is the range of the share of a paper's tone, from 0 (none) to 1 (nothing else): mostly
    yellow, some greyer or redder.
    """

    damage: ClassVar[str] = "fading"

    contrast: Range = (0.55, 0.9)
    colour: Range = (0.3, 0.8)
    cast: Share = (0.1, 0.35)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        faded = ImageEnhance.Contrast(picture).enhance(rng.uniform_range(self.contrast))
        faded = ImageEnhance.Color(faded).enhance(rng.uniform_range(self.colour))
        tone = [min(255, max(0, round(rng.gauss(level, 14)))) for level in (222, 196, 150)]
        paper = Image.new("RGB", picture.size, tuple(tone))
        return Image.blend(faded, paper, rng.uniform_range(self.cast))
