"""Drain the colour: teaches colouring."""

from PIL import Image

from lessonpipe.crappify.step import Draws, Step


class Grey(Step):
    """Luma only (ITU-R 601), kept as three equal channels."""

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        return picture.convert("L").convert("RGB")
