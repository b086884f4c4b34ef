"""A painter's few colours: as a `target`, trains a network that paints with them."""

from typing import Annotated, ClassVar

from PIL import Image, ImageColor, ImageFilter
from pydantic import Field

from lessonpipe.crappify.step import Random, Step

Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
PAINTS = ["#1d2b3a", "#33587f", "#7fa3b5", "#5b6b3a", "#8a5a33", "#c8873c", "#e8c877", "#f3ead6"]


class Palette(Step):
    """Flat patches of the nearest of a few `colours`: night blue, blues, olive, browns, cream.

    A median over `brush` pixels first takes away what is finer than a brush.
    """

    damage: ClassVar[str] = "few colours"

    colours: list[Color] = Field(PAINTS, min_length=2, max_length=256)
    brush: int = Field(5, ge=3, le=15)  # Pillow crashes on a median over 1

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        paints = Image.new("P", (1, 1))
        paints.putpalette([level for color in self.colours for level in ImageColor.getrgb(color)])
        flat = picture.filter(ImageFilter.MedianFilter(self.brush // 2 * 2 + 1))
        return flat.quantize(palette=paints, dither=Image.Dither.NONE).convert("RGB")
