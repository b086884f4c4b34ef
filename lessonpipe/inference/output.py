"""Where restored pictures go, and how they are written."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lessonpipe.data.photos import find_pictures
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.atomic import atomic_file

MOST = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # pixels a side that a kind can hold


def save_image(
    picture: Image.Image, target: Path, *, exif: bytes = b"", icc: bytes | None = None
) -> None:
    """Write a picture whole. Raises `PictureError` when the kind of file cannot hold it."""
    suffix = target.suffix.lower()
    most = MOST.get(suffix, math.inf)
    if max(picture.size) > most:
        size = f"{picture.width}x{picture.height}"
        raise PictureError(
            f"{target}: {size} pixels do not fit in {suffix}, which has {most} a side"
        )
    kind = Image.registered_extensions()[suffix]
    with atomic_file(target) as draft:
        picture.save(draft, format=kind, exif=exif, icc_profile=icc, **_options(suffix))


def plan_outputs(paths: Sequence[str], out: Path) -> dict[Path, Path]:
    """Where each picture goes: `out` and its name, below a given folder its relative path.

    What lies in `out` already, when that is within a given folder, is an earlier run's and left
    out. Raises `UserError` when two would get the same name.
    """
    targets: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for place in paths:
        root = Path(place).expanduser()
        for source in find_pictures([place]):
            if _made_before(source, root, out):
                continue
            name = source.relative_to(root) if root.is_dir() else Path(source.name)
            if name.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}:
                name = name.with_name(name.name + ".png")
            target = out / name
            if not taken.setdefault(target, source).samefile(source):
                raise UserError(
                    f"{source} and {taken[target]} would both become {target}; restore them "
                    "into different folders, or give the folder above them"
                )
            targets[taken[target]] = target
    return targets


def _made_before(source: Path, root: Path, out: Path) -> bool:
    return (
        root.is_dir()
        and not root.resolve().is_relative_to(out.resolve())
        and source.resolve().is_relative_to(out.resolve())
    )


def _options(suffix: str) -> dict[str, Any]:
    if suffix in (".jpg", ".jpeg"):
        return {"quality": 95, "subsampling": 0}
    return {"quality": 95} if suffix == ".webp" else {}
