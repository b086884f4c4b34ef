"""Greyscale: trains a network that colours."""

from typing import ClassVar

from PIL import Image

from lessonpipe.crappify.step import Random, Step


class Grey(Step):
    """Luma (ITU-R 601) in three equal channels."""

    damage: ClassVar[str] = "lost colour"

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return picture.convert("L").convert("RGB")
