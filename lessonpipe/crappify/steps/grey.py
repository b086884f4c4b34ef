"""Drain the colour: teaches colouring."""

from PIL import Image

from lessonpipe.crappify.step import Random, Step


class Grey(Step):
    """Luma only (ITU-R 601), kept as three equal channels."""

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return picture.convert("L").convert("RGB")
