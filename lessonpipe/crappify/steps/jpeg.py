"""JPEG compression: blocks, ringing, smeared colour."""

import io
from typing import ClassVar

from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Random, Step
from lessonpipe.errors import PictureError

MAX_SIDE = 65_500  # pixels, of a JPEG


class Jpeg(Step):
    """Compress with `quality`, by default the number drawn for the picture."""

    damage: ClassVar[str] = "JPEG compression"
    keeps_colour: ClassVar[bool] = True

    quality: int | None = Field(None, ge=1, le=95)

    def encode(self, picture: Image.Image, rng: Random) -> bytes:
        """The content of the JPEG file. Raises `PictureError` for too large a picture."""
        if max(picture.size) > MAX_SIDE:
            size = f"{picture.width}x{picture.height}"
            raise PictureError(f"{size} pixels do not fit in a JPEG, which has {MAX_SIDE} a side")
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=self.quality or rng.quality)
        return buffer.getvalue()

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return Image.open(io.BytesIO(self.encode(picture, rng))).convert("RGB")
