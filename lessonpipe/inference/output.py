"""Which files pictures become."""

import errno
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from lessonpipe.data.formats import HEIF_SUFFIXES, open_image
from lessonpipe.data.photos import find_pictures
from lessonpipe.errors import PictureError, UserError
from lessonpipe.inference.encode import FORMATS, Encoding, check_size
from lessonpipe.io.atomic import atomic_file

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the next picture would fail as this one did
LOSSY_SUFFIXES = HEIF_SUFFIXES | {".mpo"}
SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tif"}


def save_image(image: Image.Image, target: Path) -> None:
    """Write an image atomically, in the format of the target's suffix, without metadata.

    Raises `PictureError` when the format cannot hold as many pixels.
    """
    encoding = Encoding(FORMATS.get(target.suffix.lower(), "PNG"))
    try:
        check_size(image.size, encoding.format)
    except PictureError as error:
        raise PictureError(f"{target}: {error}") from error
    with atomic_file(target) as draft:
        options = {"quality": encoding.effective_quality} if encoding.effective_quality else {}
        if encoding.format == "JPEG":
            options["subsampling"] = 0
        image.save(draft, encoding.format, **options)


def plan_outputs(
    paths: Sequence[str],
    out: Path,
    *,
    format: str | None = None,
    name_suffix: str = "",
    recursive: bool = True,
) -> dict[Path, Path]:
    """Map each picture in files, folders and globs to its output file in `out`.

    A picture keeps its name, with `name_suffix` before the dot, and below a folder its relative
    path. Its format is `format` or its own; one that is not written (see `FORMATS`) becomes PNG,
    or JPEG if it is HEIC or MPO, whose suffix is appended, as it is where two names would else
    become one. Outputs of an earlier
    run, where `out` lies within a folder of `paths`, are no inputs. Raises `UserError` when two
    pictures would become the same file all the same.
    """
    sources: dict[Path, Path] = {}  # by name
    for path in paths:
        root = Path(path).expanduser()
        for source in find_pictures([path]):
            below = root.is_dir() and source.is_relative_to(root)
            name = source.relative_to(root) if below else Path(source.name)
            if _is_output(source, root, out) or not (recursive or len(name.parts) == 1):
                continue
            other = sources.setdefault(name, source)
            if other is not source and not _is_same_file(other, source):
                raise UserError(
                    f"{source} and {other} would both become {out / name}; restore them "
                    "into different folders, or give the folder above them"
                )
    targets: dict[Path, Path] = {}
    for keeps in (True, False):  # files that keep their suffix have the first say in their names
        for name, source in sources.items():
            if keeps == (_suffix(name, format) == name.suffix):
                target = _free_name(out / name, _suffix(name, format), name_suffix, targets)
                targets[target] = source
    order = {source: target for target, source in targets.items()}
    return {source: order[source] for source in sources.values()}


def is_picture_name(path: Path) -> bool:
    """Whether a result may be written into a file of this name."""
    return path.suffix.lower() in FORMATS


def format_of_bytes(content: bytes) -> str:
    """The suffix that a restored picture of these bytes has: of its own format, or PNG's."""
    try:
        with open_image(io.BytesIO(content), "") as picture:
            return SUFFIX_OF.get(picture.format or "", ".png")
    except (OSError, ValueError):
        return ".png"  # it is refused when it is read


def _is_same_file(first: Path, second: Path) -> bool:
    """Whether two paths are one file; one that vanished meanwhile is no other."""
    try:
        return first.samefile(second)
    except OSError:
        return True


def _suffix(name: Path, format: str | None) -> str:
    """The suffix of what a file becomes: its own if it says the same format."""
    own = FORMATS.get(name.suffix.lower())
    if own and (format is None or format == own):
        return name.suffix
    lossy = name.suffix.lower() in LOSSY_SUFFIXES  # phones' photos, which PNG makes huge
    return SUFFIX_OF[format or ("JPEG" if lossy else "PNG")]


def _free_name(path: Path, suffix: str, name_suffix: str, taken: dict[Path, Path]) -> Path:
    own = path.suffix.lower() in FORMATS
    stem = path.stem if own else path.name  # a.jpg becomes a.png, but a.gif becomes a.gif.png
    name = path.with_name(f"{stem}{name_suffix}{suffix}")
    if name not in taken:
        return name
    number, full = 1, path.name
    while (name := path.with_name(f"{full}{name_suffix}{suffix}")) in taken:
        number, full = number + 1, f"{path.name}-{number + 1}"
    return name


def _is_output(source: Path, root: Path, out: Path) -> bool:
    return (
        root.is_dir()
        and not root.resolve().is_relative_to(out.resolve())
        and source.resolve().is_relative_to(out.resolve())
    )
