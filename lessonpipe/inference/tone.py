"""Tones and colours of a restored picture, apart from its repairs: how much a network changed them.

Whether a photo has faded, or was taken in fog, no network can know; so how much of the change to
keep is for a person to say, while scratches stay mended.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAMPLES = 60_000  # pixels that a fit is made of
ROUNDS = 8  # of reweighting
ROWS = 256  # at a time, whose temporary arrays are then small


def keep_tones(restored: np.ndarray, original: np.ndarray, tone: float) -> None:
    """Take back, in place, all but the share `tone` of how `restored` changed tones and colours.

    Both are `H W C` samples of one type, C = 1 or 3. The change is the affine map between their
    colours that fits most pixels; what was damaged and is repaired fits none, and has no say.
    """
    top = np.iinfo(restored.dtype).max
    matrix = _fit(_sampled(restored) / top, _sampled(original) / top)
    for first in range(0, len(restored), ROWS):
        rows = restored[first : first + ROWS]
        values = rows / top
        back = values @ matrix[:-1] + matrix[-1]
        mixed = tone * values + (1 - tone) * back
        rows[...] = (mixed * top).clip(0, top).round().astype(rows.dtype)


def _sampled(picture: np.ndarray) -> Floats:
    """Evenly spaced pixels of a picture: `H W C -> N C`."""
    pixels = picture.reshape(-1, picture.shape[2])
    return pixels[:: max(1, len(pixels) // SAMPLES)].astype(np.float64)


def _fit(source: Floats, target: Floats) -> Floats:
    """The affine map from `source` to `target`, `N C` each, that fits most rows: `C+1 C`.

    Iteratively reweighted least squares with Geman and McClure's weights (1987), drawn towards the
    identity where a picture has too few colours to tell.
    """
    ones = np.concatenate([source, np.ones_like(source[:, :1])], axis=1)
    identity: Floats = np.eye(source.shape[1] + 1, source.shape[1])
    ridge = 1e-6 * np.eye(len(identity))
    weights = np.ones(len(source))
    matrix: Floats = identity
    for _ in range(ROUNDS):
        weighted = ones * weights[:, None]
        gram = ones.T @ weighted / len(ones) + ridge
        wanted = weighted.T @ target / len(ones) + ridge @ identity
        matrix = np.asarray(np.linalg.solve(gram, wanted), np.float64)
        error = np.abs(ones @ matrix - target).max(axis=1)
        scale = 1 / 255 + 1.5 * np.median(error)
        weights = 1 / (1 + (error / scale) ** 2) ** 2
    return matrix
