"""Shrink: detail that is gone for good."""

from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Draws, Step


class Resize(Step):
    """Bilinear resize until the shorter side is `shorter` pixels, keeping the aspect ratio."""

    shorter: int = Field(96, ge=8, le=4096)

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        ratio = self.shorter / min(picture.size)
        width, height = (max(1, int(side * ratio)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.BILINEAR)
