"""A picture's samples as the restorer works on them: grey or RGB, 8 or 16 bits, alpha apart."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from lessonpipe.data.photos import to_rgb

GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601 luma, as Pillow's mode L
ALPHA_MODES = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


@dataclass(frozen=True)
class Pixels:
    """`color` is `H W C`, C = 1 (grey) or 3 (RGB); `alpha` is `H W` or None; uint8 or uint16."""

    color: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.color.shape[1], self.color.shape[0]

    @property
    def max_value(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.color.dtype).max)

    def grey_if_equal(self) -> "Pixels":
        """One channel where all three are equal in every pixel, else the same."""
        if self.color.shape[2] == 1:
            return self
        for rows in np.array_split(self.color, -(-len(self.color) // 256)):  # most differ at once
            if not (rows == rows[..., :1]).all():
                return self
        return replace(self, color=self.color[..., :1])

    def resize(self, size: tuple[int, int]) -> "Pixels":
        """Bicubic, as crappy pictures are enlarged in training; the same at its own size.

        Colours under transparent pixels have no say in what can be seen: see `bleed_colors`.
        """
        if size == self.size:
            return self
        alpha = None if self.alpha is None else _resize(self.alpha, size)
        channels = [_resize(channel, size) for channel in np.moveaxis(self.color, -1, 0)]
        if self.color.dtype == np.uint8 and len(channels) == 3:
            picture = Image.fromarray(self.color).resize(size, Image.Resampling.BICUBIC)
            return Pixels(np.asarray(picture), alpha)
        return Pixels(np.stack(channels, -1), alpha)


def _resize(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    wide = channel.dtype == np.uint16  # which Pillow resizes as floats
    picture = Image.fromarray(channel.astype(np.float32) if wide else np.ascontiguousarray(channel))
    resized = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    return resized.round().clip(0, 65535).astype(np.uint16) if wide else resized


def bleed_colors(pixels: Pixels) -> Pixels:
    """Give transparent pixels the colours of the opaque ones around them.

    Under full transparency a file may hold any colour, mostly black or white, and resampling and
    convolutions would draw it into the edges as a halo. Push-pull: averages weighted by alpha at
    halved sizes, each of which fills what the finer one leaves open.
    """
    if pixels.alpha is None or pixels.alpha.all():
        return pixels
    top = pixels.max_value
    weight = (pixels.alpha > 0).astype(np.float32)[..., None]  # a faint pixel's colour is real
    filled = _push_pull(pixels.color.astype(np.float32) * weight, weight)
    color = np.where(weight > 0, pixels.color, filled.round().clip(0, top))
    return replace(pixels, color=color.astype(pixels.color.dtype))


def _push_pull(color: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean colours, `H W C`, from sums of colours times weights and from weights, `H W 1`."""
    if min(weight.shape[:2]) <= 1 or weight.min() > 0:
        total = np.maximum(weight, 1e-6)
        return np.where(weight > 0, color / total, color.sum((0, 1)) / max(weight.sum(), 1e-6))
    coarse = _push_pull(_halve(color), _halve(weight))
    height, width = weight.shape[:2]
    fine = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.where(weight > 0, color / np.maximum(weight, 1e-6), fine)


def _halve(x: np.ndarray) -> np.ndarray:
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)))
    return x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]


def from_pillow(picture: Image.Image) -> Pixels:
    """The samples of a Pillow picture of any mode; 16-bit grey keeps its bits.

    Pictures that are grey in all but name, RGB with equal channels, become grey.
    """
    if picture.mode.startswith("I;16"):
        return Pixels(np.asarray(picture).astype(np.uint16)[..., None])
    if picture.mode in ("1", "L"):
        return Pixels(np.asarray(picture.convert("L"))[..., None])
    if picture.mode in ALPHA_MODES or picture.has_transparency_data:
        values = np.asarray(picture.convert(ALPHA_MODES.get(picture.mode, "RGBA")))
        return Pixels(values[..., :-1], values[..., -1]).grey_if_equal()
    return Pixels(np.asarray(to_rgb(picture))).grey_if_equal()


def to_8_bits(pixels: Pixels) -> Pixels:
    """The same with 8 bits a sample."""

    def convert(values: np.ndarray) -> np.ndarray:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)

    if pixels.color.dtype == np.uint8:
        return pixels
    return Pixels(convert(pixels.color), None if pixels.alpha is None else convert(pixels.alpha))


def to_pillow(pixels: Pixels) -> Image.Image:
    """A picture of mode L, LA, RGB, RGBA or I;16.

    Raises `ValueError` for 16 bits of more than grey, of which Pillow has no mode.
    """
    color, alpha = pixels.color, pixels.alpha
    if color.dtype == np.uint16:
        if color.shape[2] == 3 or alpha is not None:
            raise ValueError("Pillow has no picture of 16-bit colours or transparency")
        return Image.fromarray(np.ascontiguousarray(color[..., 0]))
    if alpha is not None:
        return Image.fromarray(np.dstack([color, alpha]))
    return Image.fromarray(np.ascontiguousarray(color[..., 0] if color.shape[2] == 1 else color))
