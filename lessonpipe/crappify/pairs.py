"""From one photo on the disk to its pairs on the disk. This is what runs in parallel."""

import hashlib
import io
from collections.abc import Iterator
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
        picture = open_photo(photo)
        pairs = []
        for title, good, content, shown in _goods(picture, photo, name, tile_px, count, recipe):
            spoilt, suffix = recipe.encode(shown, title)
            crappy = Path("crappy") / (title if title.endswith(suffix) else title + suffix)
            write_whole(out / good, content)
            write_whole(out / crappy, spoilt)
            digest = hashlib.sha256(content + spoilt).hexdigest()
            group = series_of(name, series)
            pairs.append(Pair(title, name, group, side, good.as_posix(), crappy.as_posix(), digest))
        return Made(name, pairs)
    except PictureError as error:
        return Made(name, [], str(error))


def _goods(
    picture: Image.Image, photo: Path, name: str, tile_px: int | None, count: int, recipe: Recipe
) -> Iterator[tuple[str, Path, bytes, Image.Image]]:
    """The good pictures of a photo: title, place, the file's bytes, and what it shows."""
    if tile_px is None:
        yield name, Path("good") / name, photo.read_bytes(), picture
        return
    tiles = cut_tiles(picture, name, count=count, tile_px=tile_px, seed=recipe.seed)
    for number, tile in enumerate(tiles):
        buffer = io.BytesIO()
        tile.save(buffer, "JPEG", quality=95, subsampling=0)  # hides nothing
        shown = Image.open(buffer).convert("RGB")
        yield (
            f"{name}/{number:03d}",
            Path(f"good/{name}/{number:03d}.jpg"),
            buffer.getvalue(),
            shown,
        )
