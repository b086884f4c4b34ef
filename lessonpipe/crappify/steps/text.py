"""Text over the picture."""

from functools import lru_cache
from typing import ClassVar

from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from lessonpipe.crappify.step import Random, Step

load_font = lru_cache(maxsize=16)(ImageFont.load_default)  # a quarter of a small picture's time


class Text(Step):
    """White text at a random position in the upper left quarter, in Pillow's default font.

    `says` is the text, by default the quality drawn for the picture, as in the lesson; `letters` is
    its height in pixels.
    """

    damage: ClassVar[str] = "written text"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    says: str | None = None
    letters: float = Field(10, ge=4, le=400)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        written = picture.copy()
        width, height = written.size
        position = (rng.randint(0, width // 2), rng.randint(0, height // 2))
        text = str(rng.quality) if self.says is None else self.says
        font = load_font(self.letters)
        ImageDraw.Draw(written).text(position, text, fill=(255, 255, 255), font=font)
        return written
