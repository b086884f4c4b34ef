"""Metadata of a restored picture: the camera's EXIF, its colour profile, and the model's lineage.

The lineage is in the EXIF tag `Software`, where programs say that they made a picture.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from lessonpipe import __version__
from lessonpipe.errors import PictureError, UserError

COPIED_TAGS = {
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.DateTime,
    Base.Artist,
    Base.Copyright,
}
COPIED_IFDS = (IFD.Exif, IFD.GPSInfo)  # how and where the picture was taken


def software_tag(lineage: dict[str, Any]) -> str:
    """The line that names this program and, as JSON, the lineage of a restored picture."""
    return f"lessonpipe {__version__} {json.dumps(lineage, separators=(',', ':'))}"


def exif(source: Path, software: str | None) -> bytes:
    """The EXIF of a restored picture: the camera's of `source`, and the `software` tag if any.

    Orientation and size are left out, which no longer hold. Empty when there is nothing to say.
    """
    tags = Image.Exif()
    if software is not None:
        tags[Base.Software] = software
    try:
        with Image.open(source) as picture:
            camera = picture.getexif()
            tags.update({tag: camera[tag] for tag in COPIED_TAGS & set(camera)})
            for ifd in COPIED_IFDS:
                tags.get_ifd(ifd).update(camera.get_ifd(ifd))
        return tags.tobytes() if len(tags) or any(map(tags.get_ifd, COPIED_IFDS)) else b""
    except Exception:  # a camera's damaged EXIF must not cost the picture
        return b"" if software is None else software_exif(software)


def software_exif(software: str) -> bytes:
    """EXIF that holds the `Software` tag alone."""
    tags = Image.Exif()
    tags[Base.Software] = software
    return tags.tobytes()


def icc_profile(source: Path) -> bytes | None:
    """The colour profile of an RGB picture, which its restored numbers are meant in, too."""
    with Image.open(source) as picture:
        rgb = picture.mode in ("RGB", "RGBA")
        profile: bytes | None = picture.info.get("icc_profile") if rgb else None
    return profile


def read_lineage(path: Path) -> dict[str, Any]:
    """The lineage in a restored picture's `Software` tag.

    Raises `PictureError` when the file is no picture, `UserError` when the tag is another program's
    or damaged.
    """
    try:
        with Image.open(path) as picture:
            software = str(picture.getexif().get(Base.Software, ""))
    except (OSError, ValueError) as error:
        raise PictureError(f"{path}: not a picture ({error})") from error
    program, brace, rest = software.partition(" {")
    if not program.startswith("lessonpipe"):
        raise UserError(f"{path} does not say that lessonpipe restored it")
    try:
        return {"restored by": program, **(json.loads("{" + rest) if brace else {})}
    except ValueError as error:
        raise UserError(f"{path}: what it says of its making is damaged") from error
