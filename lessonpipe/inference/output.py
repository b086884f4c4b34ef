"""Which files restored pictures become, and how they are encoded."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lessonpipe.data.photos import find_pictures
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.atomic import atomic_file

MAX_SIDE_PX = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}
KEPT_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}  # others lose much, or colours
ENCODER_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
}


def save_image(
    image: Image.Image, target: Path, *, exif: bytes = b"", icc: bytes | None = None
) -> None:
    """Write an image atomically, in the format of the target's suffix.

    Raises `PictureError` when the format cannot hold as many pixels.
    """
    suffix = target.suffix.lower()
    max_side = MAX_SIDE_PX.get(suffix, math.inf)
    if max(image.size) > max_side:
        size = f"{image.width}x{image.height}"
        raise PictureError(
            f"{target}: {size} pixels do not fit in {suffix}, which has {max_side} a side"
        )
    with atomic_file(target) as draft:
        image.save(
            draft,
            format=Image.registered_extensions()[suffix],
            exif=exif,
            icc_profile=icc,
            **ENCODER_OPTIONS.get(suffix, {}),
        )


def plan_outputs(paths: Sequence[str], out: Path) -> dict[Path, Path]:
    """Map each picture in files, folders and globs to its output file in `out`.

    A picture keeps its name, and below a folder its relative path; a format that would lose much
    becomes PNG. Outputs of an earlier run, where `out` lies within a folder of `paths`, are no
    inputs. Raises `UserError` when two pictures would become the same file.
    """
    targets: dict[Path, Path] = {}
    sources: dict[Path, Path] = {}  # by target
    for path in paths:
        root = Path(path).expanduser()
        for source in find_pictures([path]):
            if _is_output(source, root, out):
                continue
            name = source.relative_to(root) if root.is_dir() else Path(source.name)
            if name.suffix.lower() not in KEPT_SUFFIXES:
                name = name.with_name(name.name + ".png")
            target = out / name
            if not sources.setdefault(target, source).samefile(source):
                raise UserError(
                    f"{source} and {sources[target]} would both become {target}; restore them "
                    "into different folders, or give the folder above them"
                )
            targets[sources[target]] = target
    return targets


def _is_output(source: Path, root: Path, out: Path) -> bool:
    return (
        root.is_dir()
        and not root.resolve().is_relative_to(out.resolve())
        and source.resolve().is_relative_to(out.resolve())
    )
