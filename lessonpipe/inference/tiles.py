"""Restoring in tiles that overlap, row of tiles by row of tiles, so that any size fits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Window = tuple[slice, slice]  # rows and columns of a picture
Restore = Callable[[Window], np.ndarray]  # the restored window, `H W C` floats of 0...1


@dataclass(frozen=True)
class Tiling:
    """Square tiles of `side` pixels, of which `margin` at each inner edge is not used.

    Beyond the margin a tile is as if it were cut out of the whole result, but for what is less than
    a level of 8 bits; over `blend` pixels more it fades into its neighbour, so that nothing shows
    if a network sees farther. Positions are multiples of `grid`, since a network that halves its
    input sees a shift by one pixel as another picture.
    """

    side: int
    grid: int = 32
    margin: int = 64
    blend: int = 32

    def spans(self, length: int) -> list[tuple[int, int]]:
        """The tiles' ends along a side of the picture: multiples of `grid`, but the last end."""
        if length <= self.side:
            return [(0, length)]
        step = (self.side - 2 * self.margin - self.blend) // self.grid * self.grid
        starts = range(0, length - 2 * self.margin - self.blend, step)
        return [(start, min(start + self.side, length)) for start in starts]

    @property
    def minimum(self) -> int:
        """The least side with which tiles still advance."""
        return 2 * self.margin + self.blend + self.grid


def restore_tiled(
    height: int, width: int, restore: Restore, tiling: Tiling
) -> Iterator[np.ndarray]:
    """Yield a restored picture of so many pixels from top to bottom, `rows W C` floats.

    Only one row of tiles is in memory.
    """
    rows, columns = tiling.spans(height), tiling.spans(width)
    kept: np.ndarray | None = None  # the end of the rows above that fades into those below
    for index, (top, bottom) in enumerate(rows):
        band = _band(restore, tiling, slice(top, bottom), columns)
        first = tiling.margin if index else 0
        last = bottom - top if index == len(rows) - 1 else rows[index + 1][0] - top + tiling.margin
        if kept is not None:
            band[first : first + len(kept)] = _fade(kept, band[first : first + len(kept)], axis=0)
        yield band[first:last]
        kept = band[last : last + tiling.blend].copy() if index < len(rows) - 1 else None


def _band(
    restore: Restore, tiling: Tiling, rows: slice, columns: list[tuple[int, int]]
) -> np.ndarray:
    """One row of tiles, blended from left to right: `rows W C`."""
    band: np.ndarray | None = None
    reached = 0  # columns of `band` that are final, but for the next tile's fading
    for left, right in columns:
        tile = restore((rows, slice(left, right)))
        if band is None:
            band = np.empty((len(tile), columns[-1][1], tile.shape[2]), np.float32)
            band[:, :right] = tile
        else:
            start = left + tiling.margin
            stop = min(start + tiling.blend, reached)
            faded = _fade(band[:, start:stop], tile[:, start - left : stop - left], axis=1)
            band[:, start:stop] = faded
            band[:, stop:right] = tile[:, stop - left :]
        reached = right
    assert band is not None
    return band


def _fade(old: np.ndarray, new: np.ndarray, axis: int) -> np.ndarray:
    """From all `old` to all `new` along an axis."""
    count = old.shape[axis]
    share = (np.arange(count, dtype=np.float32) + 1) / (count + 1)
    share = share.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    mixed: np.ndarray = old * (1 - share) + new * share
    return mixed
