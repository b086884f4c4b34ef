"""A camera's image, painted from far to near, with the class of every pixel.

World coordinates are metres: x to the right of the camera, y up from the ground, z ahead.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lessons.streets.classes import PAVEMENT, ROAD, SKY

Rng = np.random.Generator
Vector = Sequence[float] | np.ndarray
Vectors = Sequence[Vector] | np.ndarray
Material = tuple[int, np.ndarray, str, float]  # class, colour in 0...1, texture and its contrast
# height and width of a texture's bumps in a picture 360 high
TEXTURES = {"leaf": (3, 3), "stone": (7, 7), "bricks": (2, 60), "slats": (60, 3), "sky": (50, 50)}
CIRCLE = np.array([(np.cos(a), np.sin(a), 0) for a in np.linspace(0, 2 * np.pi, 20)])


class Canvas:
    """A random pinhole camera, its image of surface numbers, and the surfaces' materials."""

    def __init__(self, size: tuple[int, int], sky: Material, rng: Rng) -> None:
        self.size, self.rng = size, rng
        self.focal, self.centre = size[1] * rng.uniform((0.75, 0.32), (1.05, 0.68))  # pixels
        self.horizon, self.height = size[0] * rng.uniform(0.36, 0.52), rng.uniform(1.2, 1.9)
        self.surfaces = [(*sky, 1.0, 0.0)]  # materials, the light on them, metres to them
        self.light = rng.uniform(0.65, 1.05, 3)  # on the left, the right and the front of a box
        self.sun = rng.uniform(-1.5, 1.5) * (rng.random() < 0.5)  # a shadow's length for a height
        self._ids, self._shadows = (Image.new(mode, size[::-1]) for mode in "IL")
        self._draw, self._darken = ImageDraw.Draw(self._ids), ImageDraw.Draw(self._shadows)

    def project(self, points: Vectors) -> list[float]:
        """World to image coordinates, x and y in turn; the nearest that z can be is a metre."""
        x, y, z = np.array(points).T
        scale = self.focal / z.clip(1)
        image = self.centre + scale * x, self.horizon + scale * (self.height - y)
        return np.transpose(image).ravel().tolist()

    def polygon(self, corners: Vectors, material: Material, light: float = 1) -> None:
        """A flat polygon."""
        self._draw.polygon(self.project(corners), fill=len(self.surfaces))
        self.surfaces.append((*material, light, corners[0][2]))

    def ellipse(self, low: np.ndarray, high: np.ndarray, material: Material, light: float) -> None:
        """An upright ellipse in the rectangle between two corners."""
        self.polygon((low + high) / 2 + (high - low) / 2 * CIRCLE, material, light)

    def box(self, low: Vector, high: Vector, material: Material, taper: float = 0) -> None:
        """A box between two corners, its top smaller by `taper` on all sides, and its shadow."""
        rings, (left, right) = [], sorted((low[0], high[0]))
        for y, t in ((low[1], 0), (high[1], taper)):
            inset = min(t, (high[2] - low[2]) / 2)
            a, b, near, far = left + t, right - t, low[2] + inset, high[2] - inset
            rings.append([(a, y, near), (b, y, near), (b, y, far), (a, y, far)])
        bottom, top = rings
        self.polygon(top, material)  # where the camera does not see it, the front hides it
        for light, i, j in ((0, 1, 2) if right < 0 else (1, 0, 3), (2, 0, 1)):
            self.polygon([bottom[i], bottom[j], top[j], top[i]], material, self.light[light])
        if low[1] < 0.2 < high[1]:  # it stands on the ground
            reach, near, far = self.sun * high[1], low[2] - 0.2, high[2] + 0.3
            a, b = left + min(reach, 0) - 0.1, right + max(reach, 0) + 0.1
            corners = [(a, 0, near), (b, 0, near), (b, 0, far), (a, 0, far)]
            self._darken.polygon(self.project(corners), fill=130)

    def render(self, skyline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Picture `H W 3` in random haze and exposure, and classes `H W`, bytes."""
        rng, ids = self.rng, np.asarray(self._ids)
        columns = (np.array(column)[ids] for column in zip(*self.surfaces, strict=True))
        labels, rgb, texture, contrast, light, depth = columns
        ground = np.isin(labels, (ROAD, PAVEMENT))
        light *= 1 - ground * np.array(self._shadows.filter(ImageFilter.GaussianBlur(1.5))) / 255
        for (name, bump), octave in product(TEXTURES.items(), (1, 4)):
            cells = np.array(self.size) * 360 / self.size[0] / bump / octave + 2
            noise = Image.fromarray(rng.normal(0, octave**-0.5, cells.astype(int)))
            smooth = np.asarray(noise.resize(self.size[::-1], Image.Resampling.BICUBIC))
            light *= 1 + (texture == name) * contrast * smooth
        haze = np.exp(rng.uniform(*np.log((100, 900))))  # metres to where 1/e of a colour is left
        down = np.arange(self.size[0])[:, None] - self.horizon
        depth = np.where(ground, self.focal * self.height / down.clip(0.5), depth)
        depth = np.where(labels == SKY, haze * np.exp(3 * down / self.horizon + 1), depth)
        clear = np.exp(-depth / haze)[..., None]
        rgb = rgb * light[..., None] * clear + skyline * (1 - clear)
        rgb *= rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)  # exposure, white balance
        image = Image.fromarray((rgb.clip(0, 1) ** rng.uniform(0.75, 1.2) * 255).astype(np.uint8))
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.8)))
        noisy = np.asarray(image) + rng.normal(0, rng.uniform(1.5, 6), rgb.shape)
        return noisy.round().clip(0, 255).astype(np.uint8), labels.astype(np.uint8)
