"""Grain, as of a sensor or of film."""

from typing import ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from lessonpipe.crappify.step import Random, Range, Step


class Noise(Step):
    """Gaussian noise; `sigma` is the range of its standard deviation in steps of 255."""

    damage: ClassVar[str] = "grain"
    keeps_colour: ClassVar[bool] = True

    sigma: Range = (5, 25)
    colour: bool = Field(True, description="independent in the three channels")

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        grain = np.random.default_rng(rng.getrandbits(64))
        pixels = np.asarray(picture, dtype=np.float32)
        shape = pixels.shape if self.colour else (*pixels.shape[:2], 1)
        noise = grain.normal(0, rng.uniform_range(self.sigma), shape)
        return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))
