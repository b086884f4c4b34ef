"""A line drawing: as a `target`, trains a network that draws."""

from typing import ClassVar

import numpy as np
from PIL import Image, ImageFilter
from pydantic import Field

from lessonpipe.crappify.step import Random, Step


class Edges(Step):
    """Dark lines on white paper: each pixel's grey over the mean grey around it.

    The mean is a Gaussian of `radius` pixels; what is as bright as its surroundings is white.
    """

    damage: ClassVar[str] = "lost colour and shading"

    radius: float = Field(4.0, ge=0.5, le=50)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        grey = picture.convert("L")
        around = np.asarray(grey.filter(ImageFilter.GaussianBlur(self.radius)), np.float32)
        lines = (np.asarray(grey, np.float32) + 1) / (around + 1)  # black among black is white
        return Image.fromarray((255 * lines.clip(0, 1)).astype(np.uint8)).convert("RGB")
