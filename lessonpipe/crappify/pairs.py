"""From the bytes of a photo to those of its pairs: workers run this, and share no disk."""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image

from lessonpipe.crappify.recipe import Recipe
from lessonpipe.data import formats
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.data.photos import cut_tiles, decode_photo, group_of
from lessonpipe.errors import PictureError
from lessonpipe.io.atomic import MAX_NAME_BYTES


@dataclass(frozen=True)
class PhotoPairs:
    """The pairs of one photo and the content of their files by name, or why there are none.

    `enlarged` is whether the photo is smaller than its tiles.
    """

    photo: str
    sha256: str
    pairs: list[Pair]
    files: dict[str, bytes]
    error: str | None = None
    enlarged: bool = False


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
    """Cut and degrade the photo called `name`, whose file is `content`: `good/...`, `crappy/...`.

    With a `tile_px`, `count` square tiles of that size are cut; without, the photo stays as it is.
    Where the recipe has a target, that is made of the good pictures in the end.
    For a photo that cannot be read, degraded or called so, the result has an error, and nothing is
    raised.
    """
    source = hashlib.sha256(content).hexdigest()
    try:
        if tile_px is None:
            _check_length(name)
        picture = decode_photo(content, name)
        pairs: list[Pair] = []
        files: dict[str, bytes] = {}
        for title, good, good_file, pixels in _good_pictures(
            picture, content, name, tile_px, count, recipe, split
        ):
            if split == "train" and recipe.spares(title):
                crappy_file, suffix = good_file, PurePosixPath(good).suffix
            else:
                without = recipe.unseen_steps if split == "train" else ()
                crappy_file, suffix = recipe.encode(pixels, title, without=without)
            crappy = f"crappy/{_file_name(title, suffix)}"
            if recipe.target:
                good_file, suffix = recipe.target.encode(pixels, title)
                good = f"good/{_file_name(title, suffix)}"
            files |= {good: good_file, crappy: crappy_file}
            digest = hashlib.sha256(good_file + crappy_file).hexdigest()
            group = group_of(name, group_pattern)
            pairs.append(Pair(title, name, group, split, good, crappy, digest))
        enlarged = tile_px is not None and min(picture.size) < tile_px
        return PhotoPairs(name, source, pairs, files, enlarged=enlarged)
    except PictureError as error:
        return PhotoPairs(name, source, [], {}, str(error))


def _file_name(title: str, suffix: str) -> str:
    """The name of a file made for a pair: its own, or its own and `suffix`; no two share one.

    `a.png` becomes `a.png.jpg`; so a photo of that name, a picture's name before its suffix, may
    not keep it. Names that differ in their letters' case are taken for the same.
    """
    kept = title.endswith(suffix) and not formats.has_suffix(title.removesuffix(suffix))
    return title if kept else title + suffix


def _check_length(name: str) -> None:
    """Raise `PictureError` when no file can be called by the photo's name and one more suffix."""
    most = MAX_NAME_BYTES - len(".png")
    if len(os.fsencode(PurePosixPath(name).name)) > most:
        raise PictureError(f"{name}: the name is longer than {most} bytes; rename it")


def _good_pictures(
    picture: Image.Image,
    content: bytes,
    name: str,
    tile_px: int | None,
    count: int,
    recipe: Recipe,
    split: Split,
) -> Iterator[tuple[str, str, bytes, Image.Image]]:
    """Yield the good pictures of a photo: name of the pair, path, the file's bytes, its pixels."""
    if tile_px is None:
        yield name, f"good/{name}", content, picture
        return
    tiles = cut_tiles(picture, name, count=count, tile_px=tile_px, seed=recipe.seed)
    for number, tile in enumerate(tiles):
        title = f"{name}/{number:03d}"
        tile = recipe.jittered(tile, title) if split == "train" else tile
        buffer = io.BytesIO()
        tile.save(buffer, "JPEG", quality=95, subsampling=0)  # no visible loss
        pixels = Image.open(buffer).convert("RGB")  # as training will read them
        yield title, f"good/{title}.jpg", buffer.getvalue(), pixels
