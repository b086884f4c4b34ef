"""Small square pictures of rooms as bytes in one file: cut from photos, or LSUN's bedrooms."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from lessonpipe.data import formats
from lessonpipe.data.fetch import Archive
from lessonpipe.data.manifest import Split
from lessonpipe.data.photos import cut_tiles, decode_photo
from lessonpipe.data.pictures import to_tensor
from lessonpipe.errors import MissingError, PictureError, UserError
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.progress import progress_bar

FILE = "rooms.safetensors"
LSUN = Archive(  # a fifth of LSUN's bedrooms in folders, as fastai has it; size and hash are v1's
    "https://s3.amazonaws.com/fast-ai-imageclas/bedroom.tgz",
    "md5",
    "35d84f38f8a15fe47e66e460c8800d68",
    "use `source: rooms`",
    size=4_579_163_978,
    head=2**20,
)
MOST_BYTES = 20_000_000_000  # of all pictures of an archive
MOST_OF_ONE = 50_000_000
Rooms = dict[str, Tensor]  # train, valid: N 3 px px bytes
File = tuple[str, bytes]


def cut(photo: Image.Image, name: str, *, px: int, zoom: float, count: int, seed: int) -> Tensor:
    """`count` square crops of a photo: `count 3 px px`, bytes.

    A crop's side is the photo's shorter one, or down to `zoom` times smaller, as drawn.
    """
    short = round(px * zoom)
    width, height = (max(short, round(side * short / min(photo.size))) for side in photo.size)
    small = photo.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)
    tiles = cut_tiles(small, name, count=count, tile_px=px, seed=seed)
    return torch.stack([to_tensor(tile) for tile in tiles])


def crops(
    files: Iterable[File],
    side: Callable[[str], Split],
    counts: dict[Split, int],
    *,
    px: int,
    zoom: float,
    seed: int,
) -> tuple[Rooms, dict[str, str]]:
    """The crops of every photo, on its `side`, and why there are none of some.

    Raises `UserError` when a side stays empty.
    """

    def one(file: File) -> tuple[str, Tensor | str]:
        name, content = file
        try:
            photo, count = decode_photo(content, name), counts[side(name)]
            return name, cut(photo, name, px=px, zoom=zoom, count=count, seed=seed)
        except PictureError as error:
            return name, str(error)

    found: dict[Split, list[Tensor]] = {"train": [], "valid": []}
    failed = {}
    left = iter(files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(islice(left, 64)):  # no more of them are in memory at once
            for name, result in pool.map(one, some):
                if isinstance(result, str):
                    failed[name] = result
                else:
                    found[side(name)].append(result)
    for empty in (name for name, parts in found.items() if not parts):
        reasons = "; ".join(list(failed.values())[:3])
        raise UserError(f"no pictures are on the {empty} side {reasons}".rstrip())
    return {name: torch.cat(parts) for name, parts in found.items()}, failed


def by_name(seed: int, valid_share: float) -> Callable[[str], Split]:
    """A side for each photo by itself, drawn from seed and name."""

    def side(name: str) -> Split:
        drawn = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4]) / 2**32
        return "valid" if drawn < valid_share else "train"

    return side


def pictures_in(archive: Path) -> Iterator[File]:
    """The pictures of a tar.gz, their own names and their bytes: nothing is written to a disk.

    Links, devices and folders are passed over. Raises `UserError` for a broken archive, or for
    one of far too many bytes.
    """
    used = 0
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in progress_bar(tar, "read", unit="file"):
                    name = PurePosixPath(member.name).name
                    picture = PurePosixPath(name).suffix.lower() in formats.suffixes()
                    if not (member.isfile() and picture) or name.startswith("."):
                        continue
                    used += member.size
                    if member.size > MOST_OF_ONE or used > MOST_BYTES:
                        raise UserError(f"{archive.name}: {member.name} is too much to unpack")
                    content = tar.extractfile(member)
                    assert content is not None
                    yield name, content.read()
            while stream.read(1 << 20):  # to the end, where gzip says whether all was right
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{archive.name} is not a whole tar.gz archive ({error})") from error


def save(rooms: Rooms, folder: Path) -> None:
    """One file for all."""
    atomic_write(folder / FILE, as_bytes(rooms))


def load(folder: Path) -> Rooms:
    """What `save` wrote. Raises `MissingError` when nothing was."""
    path = folder / FILE
    if not path.is_file():
        raise MissingError(f"{path} is not there", path)
    return load_file(path)
