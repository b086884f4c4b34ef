"""Finding, opening, cutting and splitting photos. Knows Pillow, not torch."""

import glob
import hashlib
import io
import random
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lessonpipe.data.folders import list_folder
from lessonpipe.data.formats import open_image
from lessonpipe.data.manifest import Split
from lessonpipe.data.patterns import finder
from lessonpipe.errors import PictureError, UserError

MAX_PIXELS = 120_000_000  # a picture of more is refused: a decompression bomb, or a mistake


def find_pictures(places: Iterable[str | Path]) -> list[Path]:
    """Every picture file in the given files, folders (with their subfolders) and globs.

    Sorted, each once; `list_folder` says what else a folder holds. Raises `UserError` when a place
    does not exist.
    """
    found: set[Path] = set()
    for place in places:
        path = Path(place).expanduser()
        if path.is_dir():
            found.update(list_folder(path).pictures)
        elif path.is_file():
            found.add(path)
        else:
            hits = [Path(p) for p in glob.glob(str(path), recursive=True) if p != str(path)]
            if not hits:  # a dangling link or a device finds itself
                raise UserError(f"{place}: there is no such file or folder")
            found.update(find_pictures(hits))
    return sorted(found)


def open_photo(path: str | Path) -> Image.Image:
    """The picture in a file as RGB, turned as its EXIF orientation says.

    CMYK, palette, grey, 16-bit and transparent pictures are converted (transparent places turn
    white); of an animation the first frame is taken. Raises `PictureError` with the reason for
    anything that is not a whole picture of at most `MAX_PIXELS`.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PictureError(f"{path}: cannot be read ({error.strerror})") from error
    return _decode(path, str(path), size)


def decode_photo(content: bytes, name: str) -> Image.Image:
    """The same for a file's bytes; `name` is for the reasons."""
    return _decode(io.BytesIO(content), name, len(content))


def _decode(source: Path | io.BytesIO, name: str, size: int) -> Image.Image:
    if size == 0:
        raise PictureError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings(action="ignore"), open_image(source, name) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError(
                    f"{name}: {picture.width}x{picture.height} pixels are more than "
                    f"{MAX_PIXELS // 1_000_000} million; shrink it first"
                )
            picture.load()
            return to_rgb(ImageOps.exif_transpose(picture))
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: far too many pixels; shrink it first") from error
    except Exception as error:  # decoders of damaged files raise what they like
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"{name}: cannot be read ({reason})") from error


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow picture as 8-bit RGB; transparent places turn white."""
    if picture.mode == "RGB":
        return picture
    if picture.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(picture, dtype=np.float32)
        highest = values.max(initial=0)
        top = 65535.0 if highest > 255 or picture.mode.startswith("I;16") else 255.0
        top = 1.0 if picture.mode == "F" and highest <= 1 else top
        return Image.fromarray(
            (values * (255 / top)).round().clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def group_of(name: str, pattern: str | None) -> str:
    """The group of a photo: what the regex groups of `pattern` match in its name, joined.

    The name itself without a pattern or a match. Raises what `finder` raises.
    """
    found = finder(pattern)(name) if pattern else None
    if found is None:
        return name
    return "-".join(filter(None, found[1:])) or found[0]


def group_split(
    names: Sequence[str],
    *,
    group_pattern: str | None,
    valid_share: float,
    seed: int,
    train_only: str | None = None,
) -> dict[str, Split]:
    """Each photo's split, "train" or "valid"; a group is never in both.

    Photos in whose name `train_only` is found are for training. Of the others whole groups, in an
    order drawn from `seed`, go to "valid" while they fit in `valid_share` of those photos; at least
    one does, and one stays. Raises `UserError` for fewer than two groups, and what `finder` raises.
    """
    is_extra = finder(train_only) if train_only else lambda name: None
    extra = {name for name in names if is_extra(name)}
    names = [name for name in names if name not in extra]
    members: dict[str, list[str]] = defaultdict(list)
    for name in names:
        members[group_of(name, group_pattern)].append(name)
    if len(members) < 2:
        apart = f", beside {len(extra)} that train_only names," if extra else ""
        raise UserError(
            f"{len(names)} photo(s) in {len(members)} group(s){apart} cannot be split into "
            "training and validation; give more photos, or check group_pattern"
        )
    order = sorted(members, key=lambda s: hashlib.sha256(f"{seed}/{s}".encode()).digest())
    budget = valid_share * len(names)
    chosen: set[str] = set()
    taken = 0
    for one in order:
        if taken + len(members[one]) <= budget:
            chosen.add(one)
            taken += len(members[one])
    if not chosen:
        chosen.add(min(order, key=lambda s: len(members[s])))
    splits: dict[str, Split] = dict.fromkeys(extra, "train")
    return splits | {
        n: "valid" if s in chosen else "train" for s, ns in members.items() for n in ns
    }


def cut_tiles(
    photo: Image.Image, name: str, *, count: int, tile_px: int, seed: int
) -> Iterator[Image.Image]:
    """Square crops of a photo, `tile_px` wide: places and sizes are drawn from seed and name.

    A crop's side lies between `tile_px` and the photo's shorter side, evenly on a logarithmic
    scale, and is shrunk to `tile_px`: from pixel-level detail to the whole scene.
    """
    rng = random.Random(f"{seed}/tiles/{name}")
    short = min(photo.size)
    least = min(tile_px, short)
    for _ in range(count):
        side = round(least * (short / least) ** rng.random())
        x, y = rng.randint(0, photo.width - side), rng.randint(0, photo.height - side)
        box = (x, y, x + side, y + side)
        yield photo.resize((tile_px, tile_px), Image.Resampling.LANCZOS, box=box)
