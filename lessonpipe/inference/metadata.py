"""What a picture file says beside its pixels, and what of it a restored picture says.

EXIF, XMP, IPTC, comments, PNG text and dots per inch are carried over as they are, but for what no
longer holds: orientation, size in pixels, thumbnails. The model's lineage goes into the EXIF tag
`Software`, where programs say that they made a picture.
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lessonpipe import __version__
from lessonpipe.data.formats import open_image
from lessonpipe.errors import PictureError, UserError
from lessonpipe.inference import place
from lessonpipe.inference.color import png_color

MAKER_NOTE, USER_COMMENT, PIXEL_X, PIXEL_Y = 0x927C, 0x9286, 0xA002, 0xA003
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)
LAYOUT_TAGS = {  # of TIFF files: how their pixels are stored, which the encoder says anew
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317),
    *(320, 322, 323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 519, 520, 521, 529, 530, 531),
    532,
}
XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG = 700, 33723, 34377, 34675
IPTC_RESOURCE = 0x0404  # of Photoshop's resources
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
SIZES_IN_XMP = re.compile(
    rb"""\s+(?:tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)\s*=\s*("[^"]*"|'[^']*')"""
    rb"|<(tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)>[^<]*</\2>"
)


@dataclass(frozen=True)
class Metadata:
    """What a file says of one page, as bytes that can be written back.

    `exif` is TIFF-encoded without orientation; `dpi` is horizontal and vertical; `text` has PNG's
    text chunks by keyword, `png_chunks` those of its colours; `iptc` is its records (IIM).
    """

    exif: bytes = b""
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    png_chunks: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def software(self) -> str:
        """The program that made the picture, as its EXIF says; empty if it does not."""
        return str(_load(self.exif).get(Base.Software, "")) if self.exif else ""


def read_metadata(picture: Image.Image) -> Metadata:
    """The metadata of an open picture; of what is damaged, nothing."""
    info = picture.info
    tiff = picture.tag_v2 if picture.format == "TIFF" else {}  # type: ignore[attr-defined]
    comment = info.get("comment")
    text = getattr(picture, "text", {}) if picture.format == "PNG" else {}
    icc, png_chunks = info.get("icc_profile") or None, dict[bytes, bytes]()
    if icc is None and picture.format == "PNG":
        icc, png_chunks = png_color(info, grey=picture.mode in ("1", "L", "LA", "I;16"))
    return Metadata(
        exif=_read_exif(picture),
        icc=icc,
        xmp=_bytes(info.get("xmp") or tiff.get(XMP_TAG)),
        iptc=_read_iptc(picture),
        dpi=_read_dpi(picture),
        comment=_bytes(comment) if picture.format in ("JPEG", "MPO") else None,
        text={k: str(v) for k, v in text.items() if not k.startswith("XML:com.adobe.xmp")},
        png_chunks=png_chunks,
    )


def for_result(
    source: Metadata,
    size: tuple[int, int],
    *,
    software: str | None = None,
    scale: float = 1.0,
    strip: bool = False,
    gps: bool = True,
) -> Metadata:
    """The metadata of a result of `size` (width, height) that was made of a picture of `source`.

    `scale` multiplies the dots per inch; without `gps` nothing says where it was taken (`place`);
    `strip` leaves nothing but the profile and what PNG has in its place, without which the numbers
    mean other colours.
    """
    if strip:
        return Metadata(icc=source.icc, png_chunks=source.png_chunks)
    dpi = source.dpi and (source.dpi[0] * scale, source.dpi[1] * scale)
    xmp = source.xmp and SIZES_IN_XMP.sub(b"", source.xmp)
    exif = _load(source.exif)
    if not gps:
        place.drop_place(exif)
        xmp = place.xmp_without_place(xmp)
        source = replace(
            source,
            iptc=place.iptc_without_place(source.iptc),
            comment=place.comment_without_place(source.comment),
            text=place.text_without_place(source.text),
        )
    camera = exif.get_ifd(IFD.Exif)
    for tag, value in zip((PIXEL_X, PIXEL_Y), size, strict=True):
        if tag in camera:
            camera[tag] = value
    if dpi and (X_RESOLUTION in exif or Y_RESOLUTION in exif):
        exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[RESOLUTION_UNIT] = *dpi, 2
    if software is not None:
        exif[Base.Software] = software
    return replace(source, exif=_dump(exif), xmp=xmp, dpi=dpi)


def fit_exif(exif: bytes, limit: int) -> tuple[bytes, str | None]:
    """EXIF of at most `limit` bytes, and a note of what had to go: the maker note first."""
    if len(exif) <= limit:
        return exif, None
    tags, dropped = _load(exif), []
    camera = tags.get_ifd(IFD.Exif)
    for name, ifd, tag in (
        ("maker note", camera, MAKER_NOTE),
        ("user comment", camera, USER_COMMENT),
        ("description", tags, Base.ImageDescription),
        ("lineage", tags, Base.Software),
    ):
        if ifd.pop(tag, None) is not None:
            dropped.append(name)
            if len(smaller := _dump(tags)) <= limit:
                return smaller, f"EXIF did not fit: without its {', '.join(dropped)}"
    return b"", "EXIF did not fit, and was left out"


def software_tag(lineage: dict[str, Any]) -> str:
    """The line that names this program and, as JSON, the lineage of a restored picture."""
    return f"lessonpipe {__version__} {json.dumps(lineage, separators=(',', ':'))}"


def read_lineage(path: Path) -> dict[str, Any]:
    """The lineage in a restored picture's `Software` tag.

    Raises `PictureError` when the file is no picture, `UserError` when the tag is another program's
    or damaged.
    """
    try:
        with open_image(path, str(path)) as picture:
            software = str(picture.getexif().get(Base.Software, ""))
    except PictureError:
        raise
    except Exception as error:  # decoders of damaged files raise what they like
        raise PictureError(f"{path}: not a picture ({error})") from error
    found = parse_software(software)
    if found is None:
        raise UserError(f"{path} does not say that lessonpipe restored it")
    if "damaged" in found:
        raise UserError(f"{path}: what it says of its making is damaged")
    return found


def parse_software(software: str) -> dict[str, Any] | None:
    """The lineage in a `Software` tag; None when another program wrote it."""
    program, brace, rest = software.partition(" {")
    if not program.startswith("lessonpipe"):
        return None
    try:
        return {"restored by": program, **(json.loads("{" + rest) if brace else {})}
    except ValueError:
        return {"restored by": program, "damaged": True}


def _load(exif: bytes) -> Image.Exif:
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    return tags


def _dump(exif: Image.Exif) -> bytes:
    """TIFF-encoded; of tags that cannot be encoded, none: they cost no picture."""
    if not len(exif) and not any(exif.get_ifd(ifd) for ifd in DIRECTORIES):
        return b""
    for directory in (exif, *map(exif.get_ifd, DIRECTORIES)):
        for tag, value in dict(directory).items():
            if isinstance(value, str) and not value.isascii():  # Pillow would write question marks
                directory[tag] = value.encode("latin-1", "replace")  # as it read them
    try:
        return exif.tobytes()
    except Exception:  # Pillow's encoder raises what it likes at a value of an unusual type
        return _encodable(exif).tobytes()


def _encodable(exif: Image.Exif) -> Image.Exif:
    """The tags of an EXIF that its encoder takes, tried one by one."""
    good = Image.Exif()
    for ifd in (None, *DIRECTORIES):
        source, target = (exif, good) if ifd is None else (exif.get_ifd(ifd), good.get_ifd(ifd))
        for tag, value in dict(source).items():
            with suppress(Exception):
                directory = ImageFileDirectory_v2()
                directory[tag] = value
                directory.tobytes()
                target[tag] = value
    return good


def _read_exif(picture: Image.Image) -> bytes:
    """The EXIF of a picture, TIFF-encoded, without thumbnail, orientation and layout tags."""
    try:
        found = picture.getexif()
        exif = Image.Exif()
        skip = {Base.Orientation, *DIRECTORIES, XMP_TAG, IPTC_TAG, PHOTOSHOP_TAG, ICC_TAG}
        skip |= LAYOUT_TAGS if picture.format == "TIFF" else {256, 257}
        if picture.format == "TIFF":
            skip |= {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT}  # the encoder's, from `dpi`
        exif.update({tag: value for tag, value in found.items() if tag not in skip})
        for ifd in DIRECTORIES:
            exif.get_ifd(ifd).update(found.get_ifd(ifd))
        if IFD.Interop in exif.get_ifd(IFD.Exif):
            exif.get_ifd(IFD.Exif)[IFD.Interop] = dict(found.get_ifd(IFD.Interop))
        return _dump(exif)
    except Exception:  # a camera's damaged EXIF must not cost the picture
        return b""


def _read_iptc(picture: Image.Image) -> bytes | None:
    if picture.format == "TIFF":
        return picture.tag_v2._tagdata.get(IPTC_TAG)  # type: ignore[attr-defined,no-any-return]
    resources = picture.info.get("photoshop")
    return resources.get(IPTC_RESOURCE) if isinstance(resources, dict) else None


def _read_dpi(picture: Image.Image) -> tuple[float, float] | None:
    """What the file says, and not what Pillow takes where it does not: 72 in JPEG, 1 in TIFF."""
    info = picture.info
    try:
        if picture.format in ("JPEG", "MPO", "TIFF"):
            tags = picture.tag_v2 if picture.format == "TIFF" else picture.getexif()  # type: ignore[attr-defined]
            if info.get("jfif_unit") not in (1, 2) and X_RESOLUTION not in tags:
                return None
        x, y = (float(v) for v in info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None


def _bytes(value: Any) -> bytes | None:
    if value is None or value == "":
        return None
    return value.encode() if isinstance(value, str) else bytes(value)
