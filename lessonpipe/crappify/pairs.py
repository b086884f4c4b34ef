"""From one photo's bytes to its pairs' bytes, so that no disk is shared. Runs in parallel."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from lessonpipe.crappify.recipe import Recipe
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.data.photos import cut_tiles, decode_photo, group_of
from lessonpipe.errors import PictureError


@dataclass(frozen=True)
class PhotoPairs:
    """What came of one photo: its pairs and their files by name, or why there are none."""

    photo: str
    sha256: str
    pairs: list[Pair]
    files: dict[str, bytes]
    error: str | None = None


def make_pairs(
    content: bytes,
    name: str,
    *,
    split: Split,
    group_pattern: str | None,
    tile_px: int | None,
    count: int,
    recipe: Recipe,
) -> PhotoPairs:
    """Cut and spoil the photo called `name`, whose file is `content`: `good/...`, `crappy/...`.

    With a `tile_px`, `count` square tiles of that size are cut; without, the photo stays whole.
    A photo that cannot be read or spoilt becomes a `Made` with an error, never an exception.
    """
    source = hashlib.sha256(content).hexdigest()
    try:
        picture = decode_photo(content, name)
        pairs: list[Pair] = []
        files: dict[str, bytes] = {}
        for title, good, kept, shown in _goods(picture, content, name, tile_px, count, recipe):
            spoilt, suffix = recipe.encode(shown, title)
            crappy = "crappy/" + (title if title.endswith(suffix) else title + suffix)
            files |= {good: kept, crappy: spoilt}
            digest = hashlib.sha256(kept + spoilt).hexdigest()
            group = group_of(name, group_pattern)
            pairs.append(Pair(title, name, group, split, good, crappy, digest))
        return PhotoPairs(name, source, pairs, files)
    except PictureError as error:
        return PhotoPairs(name, source, [], {}, str(error))


def _goods(
    picture: Image.Image, content: bytes, name: str, tile_px: int | None, count: int, recipe: Recipe
) -> Iterator[tuple[str, str, bytes, Image.Image]]:
    """The good pictures of a photo: title, place, the file's bytes, and what it shows."""
    if tile_px is None:
        yield name, f"good/{name}", content, picture
        return
    tiles = cut_tiles(picture, name, count=count, tile_px=tile_px, seed=recipe.seed)
    for number, tile in enumerate(tiles):
        buffer = io.BytesIO()
        tile.save(buffer, "JPEG", quality=95, subsampling=0)  # hides nothing
        shown = Image.open(buffer).convert("RGB")
        yield f"{name}/{number:03d}", f"good/{name}/{number:03d}.jpg", buffer.getvalue(), shown
