"""Compress: blocks, ringing, smeared colour."""

import io

from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Random, Step
from lessonpipe.errors import PictureError

MOST = 65_500  # pixels on a side of a JPEG


class Jpeg(Step):
    """Through a JPEG of `quality`, or of the picture's drawn quality when none is given."""

    quality: int | None = Field(None, ge=1, le=95)

    def encode(self, picture: Image.Image, rng: Random) -> bytes:
        """The JPEG file itself."""
        if max(picture.size) > MOST:
            size = f"{picture.width}x{picture.height}"
            raise PictureError(f"{size} pixels do not fit in a JPEG, which has {MOST} a side")
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=self.quality or rng.quality)
        return buffer.getvalue()

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return Image.open(io.BytesIO(self.encode(picture, rng))).convert("RGB")
