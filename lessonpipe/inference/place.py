"""Where a picture was taken: what says it in EXIF, XMP, IPTC and PNG's texts, found and left out.

What may say it where nobody can look goes, too: a camera's maker note, XMP and IPTC that cannot be
read. So nothing of the place is left that a format has a field for; a caption in words stays.
"""

import re

from PIL import Image
from PIL.ExifTags import IFD

MAKER_NOTES = {0x927C, 0xC634, 0xC635}  # of EXIF, of DNG, and whether that may be moved
GEO_TIFF = {33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113}  # where a map's pixels lie
IPTC_PLACES = {(2, 26), (2, 27), (2, 90), (2, 92), (2, 95), (2, 100), (2, 101), (2, 103)}
XMP_PLACE = (
    rb"(?:exif:GPS\w+|photoshop:(?:City|State|Country)|Iptc4xmpCore:(?:Location|CountryCode)"
    rb"|Iptc4xmpExt:Location(?:Created|Shown))"
)
XMP_PLACES = re.compile(
    rb"""\s+%b\s*=\s*(?:"[^"]*"|'[^']*')|<(%b)\b[^>]*?(?:/>|(?<!/)>.*?</\1\s*>)"""
    % (XMP_PLACE, XMP_PLACE),
    re.S,
)
NAMES_A_PLACE = re.compile(
    rb"gps|latitude|longt?itude|location|georss|\bgeo\b|\bcity\b|\bcountry|\bstate\b", re.I
)
RAW_PROFILE = "raw profile type"  # of PNG: EXIF, XMP or IPTC once more, as hexadecimal digits


def drop_place(exif: Image.Exif) -> None:
    """Take the place out of EXIF tags: GPS, maker notes, where a map's pixels lie."""
    for tags in (exif, exif._ifds, exif.get_ifd(IFD.Exif)):
        for tag in {IFD.GPSInfo, *MAKER_NOTES, *GEO_TIFF}:
            tags.pop(tag, None)  # type: ignore[attr-defined]


def xmp_without_place(xmp: bytes | None) -> bytes | None:
    """The XMP without the properties that name a place; none where more of it may name one."""
    if xmp is None or b"\0" in xmp:  # in UTF-16 no name would be found
        return None
    rest = XMP_PLACES.sub(b"", xmp)
    return None if NAMES_A_PLACE.search(rest) else rest


def iptc_without_place(iptc: bytes | None) -> bytes | None:
    """The IPTC records but for those of a place; none where they cannot be read."""
    rest, kept = iptc or b"", b""
    while len(rest) >= 5:
        marker, record, dataset, size = rest[0], rest[1], rest[2], int.from_bytes(rest[3:5], "big")
        if marker != 0x1C or size >= 0x8000 or len(rest) < 5 + size:
            return None
        if (record, dataset) not in IPTC_PLACES:
            kept += rest[: 5 + size]
        rest = rest[5 + size :]
    return kept if kept and not rest.strip(b"\0") else None


def text_without_place(text: dict[str, str]) -> dict[str, str]:
    """PNG's texts but for those called by a place, and those that hold other metadata."""
    return {
        key: value
        for key, value in text.items()
        if not NAMES_A_PLACE.search(key.encode()) and not key.lower().startswith(RAW_PROFILE)
    }


def comment_without_place(comment: bytes | None) -> bytes | None:
    """A JPEG's comment, if it has no word of a place's coordinates."""
    words = re.compile(rb"gps|latitude|longitude", re.I)
    return None if comment is None or words.search(comment) else comment
