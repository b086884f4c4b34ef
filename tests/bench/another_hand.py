"""Photos that no model here was trained on, and damage drawn by another program than the project's.

The photos are scikit-image's and scikit-learn's: a person, a cat, a cup, a rocket, a temple, a
flower. Scratches are scikit-image's lines and Bézier curves, stains are thresholds of filtered
noise, dust is single pixels grown: none of it shares code with `lessonpipe/crappify`.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float64]
PX = 256


@dataclass(frozen=True)
class Damaged:
    """A crop, the same damaged, the same but for local damage, and where that is (`H W`, bool)."""

    photo: str
    good: Image.Image
    damaged: Image.Image
    without_local: Image.Image
    mask: NDArray[np.bool_]


def photos() -> dict[str, Image.Image]:
    """The photos by name, RGB."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = {name: getattr(data, name)() for name in ("astronaut", "cat", "coffee", "rocket")}
    found |= dict(zip(("temple", "flower"), load_sample_images().images, strict=True))
    return {name: Image.fromarray(pixels) for name, pixels in found.items()}


def crops(count: int = 4) -> Iterator[tuple[str, int, Image.Image]]:
    """Yields (photo, number, crop of 256 px): `count` a photo, at places drawn by its name."""
    for name, photo in photos().items():
        rng = _rng("crops", name)
        for number in range(count):
            x, y = (int(rng.integers(0, side - PX + 1)) for side in photo.size)
            yield name, number, photo.crop((x, y, x + PX, y + PX))


def small(crop: Image.Image, name: str, *, worn: bool, times: int = 4) -> Image.Image:
    """A quarter of a crop's side, by bicubic; `worn` with blur, noise and JPEG as well."""
    if not worn:
        return crop.resize((PX // times,) * 2, Image.Resampling.BICUBIC)
    rng = _rng("worn", name)
    blurred = crop.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2)))
    pixels = np.asarray(blurred.resize((PX // times,) * 2, Image.Resampling.BICUBIC), float)
    noisy = _picture(pixels + rng.normal(0, rng.uniform(1, 8), pixels.shape))
    buffer = io.BytesIO()
    noisy.save(buffer, "JPEG", quality=int(rng.integers(40, 91)))
    return Image.open(buffer).convert("RGB")


def damaged(photo: str, number: int, crop: Image.Image) -> Damaged:
    """A crop as an old print: scratches, stains and dust; half are faded, and half have grain."""
    rng = _rng("damage", f"{photo}/{number}")
    good = np.asarray(crop, float)
    base = good
    if rng.random() < 0.5:
        contrast, yellow = rng.uniform(0.65, 0.9), rng.uniform(0, 0.2)
        base = (1 - yellow) * (contrast * base + (1 - contrast) * 140) + yellow * np.array(
            [225, 200, 155]
        )
    if rng.random() < 0.5:
        base = base + rng.normal(0, rng.uniform(2, 8), (PX, PX, 1))
    spoilt = base
    for draw, most in ((_scratch, 5), (_stain, 3), (_dust, 1)):
        for _ in range(int(rng.integers(0, most + 1))):
            alpha = draw(rng) * rng.uniform(0.5, 1)
            color = np.clip(rng.choice([20, 60, 150, 220, 245]) + rng.normal(0, 12, 3), 0, 255)
            spoilt = spoilt * (1 - alpha) + color * alpha
    mask = np.abs(spoilt - base).max(-1) > 4
    return Damaged(photo, crop, _picture(spoilt), _picture(base), mask)


def _scratch(rng: np.random.Generator) -> Floats:
    """The opacity of a line or a Bézier curve of 1 to 7 px, `H W 1`."""
    from scipy.ndimage import distance_transform_edt
    from skimage.draw import bezier_curve, line

    drawn = np.ones((PX, PX), bool)
    points = rng.integers(0, PX, 6).tolist()
    if rng.random() < 0.5:
        rows, columns = line(*points[:4])
    else:
        rows, columns = bezier_curve(*points, weight=1, shape=(PX, PX))
    drawn[rows, columns] = False
    far = distance_transform_edt(drawn)
    half = rng.uniform(0.3, 3.5)
    return np.clip(half + 0.5 - far, 0, 1)[..., None]


def _stain(rng: np.random.Generator) -> Floats:
    """The opacity of spots where filtered noise is high, about 6 to 60 px wide, `H W 1`."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(0, 1, (PX, PX)), rng.uniform(4, 20))
    field = (field - field.mean()) / field.std()
    center = rng.integers(0, PX, 2)
    rows, columns = np.mgrid[:PX, :PX]
    near = np.hypot(rows - center[0], columns - center[1]) / rng.uniform(15, 60)
    return np.clip((field - 2 * near**2 + 0.6) * rng.choice([1.5, 20]), 0, 1)[..., None]


def _dust(rng: np.random.Generator) -> Floats:
    """The opacity of some dozens of specks, `H W 1`."""
    from scipy.ndimage import grey_dilation

    specks = (rng.random((PX, PX)) < rng.uniform(0.0003, 0.002)).astype(float)
    return grey_dilation(specks, footprint=np.ones((int(rng.integers(1, 3)),) * 2))[..., None]


def _rng(*words: str) -> np.random.Generator:
    return np.random.default_rng(list("/".join(words).encode()))


def _picture(pixels: Floats) -> Image.Image:
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
