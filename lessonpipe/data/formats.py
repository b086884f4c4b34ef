"""Which files are pictures: every kind that Pillow reads, and HEIC where `pillow-heif` is."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from lessonpipe.errors import PictureError

HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
HEIF_CURE = "HEIC is read with an extra: pip install 'lessonpipe[heic]'"
NOT_PICTURES = {
    "BUFR", "GRIB", "HDF5", "MPEG",  # Pillow knows their first bytes, and decodes none of them
    "EPS", "WMF",  # drawings and pages of any size, by Ghostscript or on Windows alone
    "FITS", "IPTC",  # measurements of a sky; a block of metadata
    "CUR", "ICNS", "ICO", "XBM", "XPM",  # cursors and icons
    "BLP", "DDS", "FTEX", "GBR",  # textures of games, a brush of GIMP
}  # fmt: skip


@cache
def pillow_suffixes() -> frozenset[str]:
    """The suffixes of the pictures that Pillow reads by itself, in lower case."""
    found = Image.registered_extensions()
    readable = {*readable_formats()} | {"MPO"}  # an MPO is opened as the JPEG it is
    # `register_heif`, in the same process, adds HEIC's to Pillow's own
    return frozenset(suffix for suffix, kind in found.items() if kind in readable) - HEIF_SUFFIXES


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that Pillow may take a file for, by its content and whatever its name says."""
    Image.init()  # loads every plugin: not for an import
    return tuple(sorted(Image.OPEN.keys() - NOT_PICTURES - {"HEIF"}))


def suffixes() -> frozenset[str]:
    """The suffixes of the pictures that can be read here, in lower case: HEIC's with the extra."""
    return pillow_suffixes() | (HEIF_SUFFIXES if has_heif() else frozenset())


def has_suffix(name: str | Path) -> bool:
    """Whether a name ends as a picture's does, whether or not HEIC can be read here."""
    suffix = Path(name).suffix.lower()
    return suffix in pillow_suffixes() or suffix in HEIF_SUFFIXES


def is_picture(path: Path) -> bool:
    """Whether a file can be read as a picture by its name, which is not hidden."""
    shown = not path.name.startswith(".") and path.suffix.lower() in suffixes()
    return shown and os.path.isfile(path)


@cache
def has_heif() -> bool:
    """Whether `pillow-heif` is installed; it is not loaded."""
    return find_spec("pillow_heif") is not None


@cache
def register_heif() -> bool:
    """Teach Pillow to open HEIC. False where `pillow-heif` is not installed."""
    if not has_heif():
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def open_image(source: Path | BinaryIO, name: str) -> Image.Image:
    """`Image.open` of `readable_formats`, HEIC too, whatever the suffix; `name` is for the reason.

    Raises `PictureError` for what is no picture, and for HEIC without the extra. `OSError` and
    what else Pillow's decoders raise pass through.
    """
    try:
        return Image.open(source, formats=readable_formats())
    except UnidentifiedImageError as error:
        if not _is_heif(source):
            raise PictureError(f"{name}: not a picture, or of a kind that is not read") from error
        if not register_heif():
            raise PictureError(f"{name}: {HEIF_CURE}") from error
    try:
        return Image.open(source, formats=("HEIF",))
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: cannot be read (damaged HEIC)") from error


def _is_heif(source: Path | BinaryIO) -> bool:
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return _is_heif(stream)
    source.seek(0)
    head = source.read(32)
    return head[4:8] == b"ftyp" and any(
        brand in head[8:] for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
    )
