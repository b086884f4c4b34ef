"""What steps that draw on a picture share: the colour of the damage, and noise."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lessonpipe.crappify.step import Random


def paint_color(size: tuple[int, int], rng: Random) -> Image.Image:
    """A picture of one colour: light, dark or any, mostly near grey, as damage is."""
    level = rng.choice((rng.uniform(200, 255), rng.uniform(0, 70), rng.uniform(0, 255)))
    warmth, tint = rng.gauss(0, 15), rng.gauss(0, 8)
    color = (level + warmth, level + tint, level - warmth)
    return Image.new("RGB", size, tuple(round(min(255, max(0, c))) for c in color))


def noise(size: tuple[int, int], rng: Random, cells: int) -> NDArray[np.float32]:
    """Smooth noise in 0...1, `H W` for a size of (width, height), with `cells` along each side."""
    grid = Image.frombytes("L", (cells, cells), rng.randbytes(cells * cells))
    smooth = np.asarray(grid.resize(size, Image.Resampling.BICUBIC))
    return smooth.astype(np.float32) / np.float32(255)


def noise_mask(size: tuple[int, int], rng: Random, cell_px: float) -> Image.Image:
    """A mask with holes of about `cell_px` pixels, as paint wears off."""
    cells = int(min(256, max(2, max(size) / max(1.0, cell_px))))
    holes = np.clip((noise(size, rng, cells) - rng.uniform(0.3, 0.55)) * 6, 0, 1)
    return Image.fromarray((255 * holes).astype(np.uint8))
