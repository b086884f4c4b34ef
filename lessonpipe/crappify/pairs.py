"""From one photo on the disk to its pairs on the disk. This is what runs in parallel."""

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lessonpipe.crappify.recipe import Recipe
from lessonpipe.data.manifest import Pair, Side
from lessonpipe.data.photos import cut_tiles, open_photo, series_of
from lessonpipe.errors import PictureError
from lessonpipe.files import write_whole


@dataclass(frozen=True)
class Made:
    """What came of one photo: its pairs, or why there are none."""

    photo: str
    pairs: list[Pair]
    error: str | None = None


def make_pairs(
    photo: Path,
    name: str,
    *,
    side: Side,
    series: str | None,
    tile_px: int | None,
    count: int,
    recipe: Recipe,
    out: Path,
) -> Made:
    """Cut, spoil and save the photo called `name` as `out/good/...` and `out/crappy/...`.

    With a `tile_px`, `count` square tiles of that size are cut; without, the photo stays whole.
    A photo that cannot be read or spoilt becomes a `Made` with an error, never an exception.
    """
    try:
        return Made(name, _make(photo, name, side, series, tile_px, count, recipe, out))
    except PictureError as error:
        return Made(name, [], str(error))


def _make(
    photo: Path,
    name: str,
    side: Side,
    series: str | None,
    tile_px: int | None,
    count: int,
    recipe: Recipe,
    out: Path,
) -> list[Pair]:
    picture = open_photo(photo)
    pairs = []
    if tile_px is None:
        crappy, suffix = recipe.encode(picture, name)
        good = Path("good") / name
        (out / good).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, out / good)
        pairs.append(_pair(name, name, side, series, good, crappy, suffix, out))
    else:
        tiles = cut_tiles(picture, name, count=count, tile_px=tile_px, seed=recipe.seed)
        for number, tile in enumerate(tiles):
            title = f"{name}/{number:03d}"
            good = Path("good") / f"{title}.jpg"
            write_whole(out / good, _as_jpeg(tile))
            crappy, suffix = recipe.encode(open_photo(out / good), title)
            pairs.append(_pair(title, name, side, series, good, crappy, suffix, out))
    return pairs


def _pair(
    title: str,
    photo: str,
    side: Side,
    series: str | None,
    good: Path,
    crappy: bytes,
    suffix: str,
    out: Path,
) -> Pair:
    where = Path("crappy") / f"{title}{suffix}"
    write_whole(out / where, crappy)
    digest = hashlib.sha256((out / good).read_bytes() + crappy).hexdigest()
    return Pair(
        title, photo, series_of(photo, series), side, good.as_posix(), where.as_posix(), digest
    )


def _as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
