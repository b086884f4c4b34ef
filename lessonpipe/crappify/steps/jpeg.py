"""Compress: blocks, ringing, smeared colour."""

import io

from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Draws, Step


class Jpeg(Step):
    """Through a JPEG of `quality`, or of the picture's drawn quality when none is given."""

    quality: int | None = Field(None, ge=1, le=95)

    def encode(self, picture: Image.Image, draws: Draws) -> bytes:
        """The JPEG file itself."""
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=self.quality or draws.quality)
        return buffer.getvalue()

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        return Image.open(io.BytesIO(self.encode(picture, draws))).convert("RGB")
