"""Writing restored pages in the format asked for, with their metadata."""

import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import IFDRational
from PIL.TiffTags import lookup

from lessonpipe.errors import PictureError
from lessonpipe.inference.decode import Page
from lessonpipe.inference.metadata import (
    DIRECTORIES,
    IPTC_RESOURCE,
    IPTC_TAG,
    XMP_TAG,
    Metadata,
    fit_exif,
)
from lessonpipe.inference.pixels import Pixels, to_8_bits, to_pillow

FORMATS = {  # suffixes that are kept, and their format; of other kinds PNG is written
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx"), "JPEG2000"),
    **{".png": "PNG", ".webp": "WEBP", ".avif": "AVIF"},
}
MAX_SIDE_PX = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_535}
MAX_EXIF_BYTES = {"JPEG": 65_533 - 2 - 6}  # of one segment
MAX_SEGMENT_BYTES = 65_533
WITH_16_BITS = {"PNG", "TIFF", "JPEG2000"}
WITH_ALPHA = {"PNG", "WEBP", "AVIF", "TIFF", "JPEG2000"}
QUALITY = {"JPEG": 95, "WEBP": 95, "AVIF": 90}
TIFF_COMPRESSIONS: dict[str, str | None] = {  # Pillow's names to tifffile's
    **{"raw": None, "tiff_lzw": "lzw", "packbits": "packbits", "jpeg": "jpeg", "zstd": "zstd"},
    # those are of black and white alone, and a restored picture is grey
    **dict.fromkeys(("group3", "group4", "tiff_ccitt"), "lzw"),
}


@dataclass(frozen=True)
class Encoding:
    """How pages are written: the format's name as Pillow has it, and the quality of lossy ones."""

    format: str
    quality: int | None = None

    @property
    def effective_quality(self) -> int | None:
        """The quality asked for or the format's default; None for lossless formats."""
        return QUALITY.get(self.format) and (self.quality or QUALITY[self.format])


def format_of(path: Path) -> str:
    """The format that a file of this name is written in."""
    return FORMATS.get(path.suffix.lower(), "PNG")


def write_pages(draft: Path, pages: Iterable[Page], encoding: Encoding) -> list[str]:
    """Write one page, or many into a TIFF; returns notes of what the format cannot hold.

    Raises `PictureError` when the format cannot hold as many pixels, or there is no page.
    """
    notes: list[str] = []
    count = 0
    for count, page in enumerate(pages, 1):
        page, told = _fitted(page, encoding.format)
        notes += [*page.notes, *told]
        if encoding.format == "TIFF":
            _append_to_tiff(draft, page, encoding.quality or QUALITY["JPEG"], first=count == 1)
        else:
            _write_one(draft, page, encoding)
    if not count:
        raise PictureError("there is no picture in it")
    return notes


def check_size(size: tuple[int, int], format_: str) -> None:
    """Raise `PictureError` for more pixels a side than a format has."""
    max_side = MAX_SIDE_PX.get(format_, math.inf)
    if max(size) > max_side:
        raise PictureError(
            f"{size[0]}x{size[1]} pixels do not fit in {format_}, which has {max_side} a side"
        )


def _fitted(page: Page, format_: str) -> tuple[Page, list[str]]:
    """The page as the format can hold it, and notes of what it cannot."""
    pixels, notes = page.pixels, []
    check_size(pixels.size, format_)
    if pixels.color.dtype == np.uint16 and format_ not in WITH_16_BITS:
        notes.append(f"16 bits became 8, as {format_} has no more")
        pixels = to_8_bits(pixels)
    if pixels.alpha is not None and format_ not in WITH_ALPHA:
        notes.append(f"laid on white, as {format_} has no transparency")
        pixels = _on_white(pixels)
    exif, dropped = fit_exif(page.metadata.exif, MAX_EXIF_BYTES.get(format_, 2**31))
    return replace(page, pixels=pixels, metadata=replace(page.metadata, exif=exif)), [
        *notes,
        *([dropped] if dropped else []),
    ]


def _on_white(pixels: Pixels) -> Pixels:
    assert pixels.alpha is not None
    share = pixels.alpha[..., None].astype(np.float32) / pixels.max_value
    color = pixels.color * share + pixels.max_value * (1 - share)
    return Pixels(color.round().astype(pixels.color.dtype))


def _write_one(draft: Path, page: Page, encoding: Encoding) -> None:
    said, options = page.metadata, _options(page, encoding)
    if encoding.format == "JPEG2000" and page.pixels.color.dtype == np.uint16:
        draft.write_bytes(_jpeg2000_16(page.pixels))
        return
    if encoding.format == "PNG":
        if page.pixels.color.dtype == np.uint16:
            draft.write_bytes(_png_16(page.pixels, said))
            return
        chunks = PngImagePlugin.PngInfo()
        for kind, data in said.png_chunks.items():
            chunks.add(kind, data)
        for key, value in said.text.items():
            chunks.add_itxt(key, value) if not _is_latin(value) else chunks.add_text(key, value)
        if said.xmp:
            chunks.add_itxt("XML:com.adobe.xmp", said.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    elif said.xmp:
        options["xmp"] = said.xmp
    to_pillow(page.pixels).save(draft, encoding.format, **options)


def _options(page: Page, encoding: Encoding) -> dict[str, Any]:
    """What Pillow's encoder is told."""
    said, format_ = page.metadata, encoding.format
    options: dict[str, Any] = {"icc_profile": said.icc, "exif": said.exif}
    if said.dpi and format_ in ("JPEG", "PNG"):
        options["dpi"] = said.dpi
    if encoding.effective_quality:
        options["quality"] = encoding.effective_quality
    if format_ == "JPEG":
        options["subsampling"] = 0
        options["extra"] = _iptc_segment(said.iptc)
        if said.comment:
            options["comment"] = said.comment[:MAX_SEGMENT_BYTES]
    if format_ == "WEBP" and page.lossless and encoding.quality is None:
        options |= {"lossless": True, "exact": True, "quality": 80}
    return options


def _iptc_segment(iptc: bytes | None) -> bytes:
    """An APP13 segment with the IPTC records as the Photoshop resource that they are in JPEG."""
    if not iptc:
        return b""
    padded = iptc + b"\0" * (len(iptc) % 2)
    body = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", IPTC_RESOURCE, 0, len(iptc)) + padded
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body if len(body) < 65_533 else b""


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _png_16(pixels: Pixels, said: Metadata) -> bytes:
    """A PNG file of 16 bits a sample, which Pillow writes of grey alone; chunks as PNG defines."""
    import imagecodecs

    layers = pixels.color if pixels.alpha is None else np.dstack([pixels.color, pixels.alpha])
    squeezed = layers[..., 0] if layers.shape[2] == 1 else layers
    content = bytes(imagecodecs.png_encode(np.ascontiguousarray(squeezed), level=6))
    chunks = list(said.png_chunks.items())
    if said.icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(said.icc)))
    if said.dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(v / 0.0254) for v in said.dpi), 1)))
    if said.exif:
        chunks.append((b"eXIf", said.exif.removeprefix(b"Exif\0\0")))
    text = dict(said.text)
    if said.xmp:
        text["XML:com.adobe.xmp"] = said.xmp.decode("utf-8", "replace")
    for key, value in text.items():
        keyword = key.encode("latin-1", "replace")[:79]
        chunks.append((b"iTXt", keyword + b"\0\0\0\0\0" + value.encode("utf-8", "replace")))
    head = 8 + 25  # the signature and IHDR, which must come first
    return content[:head] + b"".join(_chunk(*chunk) for chunk in chunks) + content[head:]


def _jpeg2000_16(pixels: Pixels) -> bytes:
    """A lossless JPEG 2000 file of 16 bits a sample, which Pillow writes of grey alone."""
    import imagecodecs

    layers = pixels.color if pixels.alpha is None else np.dstack([pixels.color, pixels.alpha])
    squeezed = layers[..., 0] if layers.shape[2] == 1 else layers
    return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(squeezed), codecformat="jp2"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _append_to_tiff(draft: Path, page: Page, quality: int, *, first: bool) -> None:
    """Write a page behind those that are there, so that no two are in memory at a time.

    By tifffile, which has 16 bits; Pillow has not, and loses EXIF in compressed files.
    """
    import tifffile

    said, pixels = page.metadata, page.pixels
    layers = pixels.color if pixels.alpha is None else np.dstack([pixels.color, pixels.alpha])
    wide = layers.dtype == np.uint16
    compression = TIFF_COMPRESSIONS.get(page.compression or "", "zlib")
    if compression == "jpeg" and (wide or pixels.alpha is not None):
        compression = "lzw"
    exif = Image.Exif()
    if said.exif:
        exif.load(said.exif)
    directories = {int(ifd): dict(tags) for ifd in DIRECTORIES if (tags := exif.get_ifd(ifd))}
    if IFD.Interop in (camera := directories.get(IFD.Exif, {})):
        camera[IFD.Interop] = exif.get_ifd(IFD.Interop)
    extra = [_tiff_tag(tag, value) for tag, value in exif.items() if tag not in DIRECTORIES]
    extra += [
        (tag, kind, len(data), data, True)
        for tag, kind, data in ((XMP_TAG, 1, said.xmp), (IPTC_TAG, 7, said.iptc))
        if data
    ]
    tifffile.imwrite(
        draft,
        layers[..., 0] if layers.shape[2] == 1 else layers,
        append=not first,
        photometric="minisblack" if pixels.color.shape[2] == 1 else "rgb",
        extrasamples=None if pixels.alpha is None else ["unassalpha"],
        planarconfig="contig" if layers.shape[2] > 1 else None,
        compression=compression,
        compressionargs={"level": quality} if compression == "jpeg" else None,
        predictor=compression in ("lzw", "zlib", "zstd"),
        iccprofile=said.icc,
        resolution=said.dpi,
        resolutionunit="INCH" if said.dpi else None,
        metadata=None,
        software=False,
        extratags=[tag for tag in extra if tag],
    )
    _append_directories(draft, directories)


def _tiff_tag(tag: int, value: Any) -> tuple[int, int, int, Any, bool] | None:
    """A tag as tifffile takes it (code, type, count, value, once); None for unusual values."""
    if isinstance(value, str):
        data = value.encode("latin-1", "replace") + b"\0"
        return tag, 2, len(data), data, True
    if isinstance(value, bytes):
        return tag, 2 if lookup(tag).type == 2 else 1, len(value), value, True
    if isinstance(value, int) and value >= 0:
        return tag, 3 if value < 2**16 else 4, 1, value, True
    if isinstance(value, IFDRational):
        return tag, 5, 1, (value.numerator, value.denominator), True
    return None


def _append_directories(draft: Path, directories: dict[int, dict[int, Any]]) -> None:
    """Give the last page of a TIFF file EXIF's directories, which tifffile does not write.

    They and a new list of the page's tags, with where they are, are put behind all else.
    """
    if not directories:
        return
    with open(draft, "r+b") as stream:
        order = "<" if stream.read(2) == b"II" else ">"
        pointer, place = 4, 0
        while True:  # along the chain of pages
            stream.seek(pointer)
            (start,) = struct.unpack(f"{order}I", stream.read(4))
            if start == 0:
                break
            place = pointer
            stream.seek(start)
            (count,) = struct.unpack(f"{order}H", stream.read(2))
            entries = [stream.read(12) for _ in range(count)]
            pointer = start + 2 + 12 * count
        for tag, values in directories.items():
            offset = _aligned_end(stream)
            stream.write(_directory(values, tag, order).tobytes(offset))
            entries.append(struct.pack(f"{order}HHII", tag, 4, 1, offset))
        entries.sort(key=lambda entry: struct.unpack(f"{order}H", entry[:2]))
        offset = _aligned_end(stream)
        stream.write(struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4))
        stream.seek(place)
        stream.write(struct.pack(f"{order}I", offset))


def _aligned_end(stream: BinaryIO) -> int:
    """Goes to the end of a file, which is made even, as TIFF wants it."""
    end = stream.seek(0, 2)
    return end + stream.write(bytes(end % 2))


def _directory(
    values: dict[int, Any], group: int, order: str
) -> TiffImagePlugin.ImageFileDirectory_v2:
    head = b"II*\0\0\0\0\0" if order == "<" else b"MM\0*\0\0\0\0"
    directory = TiffImagePlugin.ImageFileDirectory_v2(head, group=group)
    for tag, value in values.items():
        directory[tag] = value
    return directory
