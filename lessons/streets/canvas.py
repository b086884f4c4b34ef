"""A picture and its labels drawn in one go: a number a surface, and a table of what each is.

Places are in metres: right and up of the camera's foot, and ahead of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lessons.streets.classes import PAVEMENT, ROAD, SKY

Rgb = tuple[float, float, float]  # 0...1
Place = tuple[float, float, float]
Point = tuple[float, float]
TEXTURES = ("grain", "spots", "clouds", "leaves", "courses", "slats")


@dataclass(frozen=True)
class Camera:
    """Where it stands and looks: focal length in pixels, metres above the ground, the horizon."""

    focal: float
    height: float
    centre: float
    horizon: float

    def see(self, place: Place) -> Point:
        """Where a place is in the picture."""
        x, y, z = place
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.height - y) / z


@dataclass(frozen=True)
class Weather:
    """What light there is, and how the picture is taken."""

    zenith: Rgb
    skyline: Rgb
    clouds: float
    haze_m: float  # metres after which 2/3 of a thing's colour is lost
    exposure: float
    gains: Rgb
    gamma: float
    blur: float
    noise: float


@dataclass
class Canvas:
    """Draw far things first. `rng` is for textures and noise alone."""

    height: int
    width: int
    camera: Camera
    rng: np.random.Generator
    table: list[tuple[int, Rgb, int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = (self.width, self.height)
        self._ids, self._shade = Image.new("I", size, 0), Image.new("L", size, 255)
        self._pen, self._dark = ImageDraw.Draw(self._ids), ImageDraw.Draw(self._shade)
        self.paint(SKY, (1, 1, 1))

    def paint(
        self, kind: int, rgb: Rgb, texture: str = "grain", rough: float = 0.03, depth: float = 0.0
    ) -> int:
        """A new surface of a class; `depth` is metres ahead, for the haze."""
        self.table.append((kind, rgb, TEXTURES.index(texture), rough, depth))
        return len(self.table) - 1

    def face(self, places: Sequence[Place], paint: int) -> None:
        """A flat polygon in the world; all of it must be ahead."""
        self.polygon([self.camera.see(place) for place in places], paint)

    def wall(self, x: float, y: Point, z: Point, paint: int) -> None:
        """A rectangle along the street."""
        self.face([(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])], paint)

    def front(self, x: Point, y: Point, z: float, paint: int) -> None:
        """A rectangle across the street."""
        self.face([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], paint)

    def floor(self, x: Point, z: Point, paint: int) -> None:
        """A rectangle on the ground."""
        self.face([(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])], paint)

    def polygon(self, points: Sequence[Point], paint: int) -> None:
        """A polygon in the picture."""
        self._pen.polygon(list(points), fill=paint)

    def ellipse(self, middle: Point, radii: Point, paint: int) -> None:
        """An upright ellipse in the picture."""
        (x, y), (a, b) = middle, radii
        self._pen.ellipse((x - a, y - b, x + a, y + b), fill=paint)

    def stroke(self, points: Sequence[Point], thick: float, paint: int) -> None:
        """A line in the picture, at least a pixel thick."""
        self._pen.line(list(points), fill=paint, width=max(1, round(thick)), joint="curve")

    def shadow(self, x: Point, z: Point, light: float) -> None:
        """Only so much light falls on this rectangle of the ground."""
        places = [(x[0], 0.0, z[0]), (x[1], 0.0, z[0]), (x[1], 0.0, z[1]), (x[0], 0.0, z[1])]
        self._dark.polygon([self.camera.see(place) for place in places], fill=round(255 * light))

    def labels(self) -> np.ndarray:
        """The classes: `H W` bytes."""
        kinds = np.array([row[0] for row in self.table], np.uint8)
        return kinds[np.asarray(self._ids)]

    def picture(self, weather: Weather) -> np.ndarray:
        """What the camera sees: `H W 3` bytes."""
        ids = np.asarray(self._ids)
        kinds, colours, textures, rough, depth = (
            np.array([row[i] for row in self.table], np.float32) for i in range(5)
        )
        fields = np.stack([self._field(name) for name in TEXTURES])
        y, x = np.ogrid[: self.height, : self.width]
        grain = rough[ids] * fields[textures.astype(int)[ids], y, x]
        rgb = colours[ids] * (1 + grain[..., None])
        ground = np.isin(kinds[ids], (ROAD, PAVEMENT))
        shade = np.asarray(self._shade.filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 255
        rgb *= np.where(ground, shade, 1)[..., None]
        rows = np.maximum(np.arange(self.height) - self.camera.horizon, 0.5)
        ahead = np.where(
            ground, (self.camera.focal * self.camera.height / rows)[:, None], depth[ids]
        )
        sky = self._sky(weather, fields[TEXTURES.index("clouds")])
        clear = np.exp(-ahead / weather.haze_m)[..., None]
        rgb = rgb * clear + np.array(weather.skyline, np.float32) * (1 - clear)
        rgb = np.where((ids == 0)[..., None], sky, rgb)
        return self._taken(rgb, weather)

    def _sky(self, weather: Weather, clouds: np.ndarray) -> np.ndarray:
        down = np.clip(np.arange(self.height) / max(1.0, self.camera.horizon), 0, 1)[:, None, None]
        plain = np.array(weather.zenith) * (1 - down) + np.array(weather.skyline) * down
        white = np.clip(clouds * weather.clouds, 0, 0.8)[..., None]
        return plain * (1 - white) + white * (0.6 + 0.4 * np.array(weather.skyline))

    def _taken(self, rgb: np.ndarray, weather: Weather) -> np.ndarray:
        rgb = np.clip(rgb * weather.exposure * np.array(weather.gains), 0, 1) ** weather.gamma
        seen = Image.fromarray((rgb * 255).astype(np.uint8))
        seen = seen.filter(ImageFilter.GaussianBlur(weather.blur))
        noisy = np.asarray(seen) + self.rng.normal(0, weather.noise, rgb.shape).astype(np.float32)
        return noisy.round().clip(0, 255).astype(np.uint8)

    def _field(self, name: str) -> np.ndarray:
        """A texture over the whole picture, about -1...1: `H W`."""
        h, w = self.height, self.width
        if name == "grain":
            return self.rng.normal(0, 1, (h, w)).astype(np.float32)
        if name == "leaves":
            return self._rough(2.5) + 0.5 * self._rough(9)
        if name == "spots":
            return self._rough(7) + 0.5 * self._rough(30)
        if name == "clouds":
            return self._rough(90) + 0.4 * self._rough(25) + 0.2 * self._rough(8)
        step = self.rng.uniform(4, 9)
        along = np.arange(h)[:, None] if name == "courses" else np.arange(w)[None]
        lines = (along % step < 1.4) * -1.5 + 0.2
        return (lines + 0.5 * self._rough(3)).astype(np.float32)

    def _rough(self, grain_px: float) -> np.ndarray:
        """Smooth noise with bumps of so many pixels of a picture 360 high."""
        grain = grain_px * self.height / 360
        shape = (int(self.height / grain) + 2, int(self.width / grain) + 2)
        coarse = Image.fromarray(self.rng.normal(0, 1, shape).astype(np.float32))
        return np.asarray(coarse.resize((self.width, self.height), Image.Resampling.BICUBIC))
