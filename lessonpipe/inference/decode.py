"""Reading picture files page by page, with all it takes to write them back."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, ImageSequence
from PIL.ExifTags import Base

from lessonpipe.data.formats import open_image
from lessonpipe.data.photos import MAX_PIXELS
from lessonpipe.errors import PictureError
from lessonpipe.inference.color import grey_profile, to_working_space
from lessonpipe.inference.metadata import Metadata, read_metadata
from lessonpipe.inference.pixels import Pixels, from_pillow

Source = Path | io.BytesIO
MAX_BYTES = 2 * 2**30  # a file of more is refused: 16 bits and alpha of `MAX_PIXELS` take 1 GB
SIXTEEN_BITS = re.compile(r"(RGB|RGBA|RGBX|LA);16")  # raw modes that Pillow decodes to 8 bits


@dataclass(frozen=True)
class Page:
    """One page of a file, upright: pixels, metadata, how it was stored, what was changed."""

    pixels: Pixels
    metadata: Metadata
    format: str
    compression: str | None = None  # of TIFF
    lossless: bool = True
    notes: tuple[str, ...] = ()


def read_pages(
    source: Source, name: str | None = None, *, every: bool, truncated: bool = False
) -> Iterator[Page]:
    """Yield every page of a TIFF or frame of an animation, or the first alone, of a file.

    `name` is for the reasons; `truncated` takes files that are cut off, as far as they go. Raises
    `PictureError` with the reason for anything that is no whole picture of at most `MAX_PIXELS`.
    """
    name = name or name_of(source)
    last: list[Page] = []
    with _reasons(name), _opened(source, name, truncated) as picture:
        frames = getattr(picture, "n_frames", 1)
        taken = frames if every else 1
        for index, frame in enumerate(ImageSequence.Iterator(picture)):
            page = _read(frame, source, index)
            if frames > taken:
                kind = "page" if picture.format == "TIFF" else "frame"
                page = replace(page, notes=(*page.notes, f"the first of {frames} {kind}s alone"))
            last = [page]
            del page
            if index + 1 == taken:
                break
            yield last.pop()
        picture.close()  # frees Pillow's copy of the pixels, one of few that a large picture allows
    if last:
        yield last.pop()


def name_of(source: Source) -> str:
    """What a reason calls a source that was given no name."""
    return str(source) if isinstance(source, Path) else "the picture"


def _read(frame: Image.Image, source: Source, index: int) -> Page:
    if frame.width * frame.height > MAX_PIXELS:
        raise PictureError(
            f"{frame.width}x{frame.height} pixels are more than {MAX_PIXELS // 1_000_000} million; "
            "shrink it first"
        )
    format_ = frame.format or "PNG"
    if SIXTEEN_BITS.match(_raw_mode(frame)) or _jpeg2000_bits(frame, source) > 8:
        pixels = _read_16_bits(frame, source, index)
        metadata = read_metadata(frame)
        pixels = _upright(pixels, _orientation(frame))
        note = None
    else:
        metadata = read_metadata(frame)  # before TIFF files are closed by loading
        frame.load()
        turned = _orientation(frame) != 1
        upright = ImageOps.exif_transpose(frame) if turned else frame  # else it copies, too
        converted, icc, note = to_working_space(upright, metadata.icc)
        pixels, metadata = from_pillow(converted), replace(metadata, icc=icc)
    grey = pixels.grey_if_equal()
    if grey is not pixels or pixels.color.shape[2] == 1:
        may, icc = grey_profile(metadata.icc)
        pixels, metadata = (grey, replace(metadata, icc=icc)) if may else (pixels, metadata)
    return Page(
        pixels,
        metadata,
        format_,
        frame.info.get("compression") if format_ == "TIFF" else None,
        not (format_ in ("JPEG", "MPO", "AVIF", "HEIF") or _is_lossy_webp(source, format_)),
        (note,) if note else (),
    )


def _raw_mode(picture: Image.Image) -> str:
    """The layout of the samples in the file, such as `RGB;16B`; empty where that is not said."""
    if picture.format not in ("PNG", "TIFF") or not picture.tile:  # type: ignore[attr-defined]
        return ""
    args = picture.tile[0].args  # type: ignore[attr-defined]
    return str(args if isinstance(args, str) else args[0] if args else "")


def _jpeg2000_bits(picture: Image.Image, source: Source) -> int:
    """The bits a sample of a JPEG 2000 file, by its first SIZ marker; 0 for other kinds."""
    if picture.format != "JPEG2000":
        return 0
    head = _content(source, 2**16)
    start = head.find(b"\xff\x4f\xff\x51")
    return (head[start + 42] & 0x7F) + 1 if 0 <= start < len(head) - 42 else 0


def _read_16_bits(picture: Image.Image, source: Source, index: int) -> Pixels:
    """The samples of a page of more than 8 bits and one channel, which Pillow would cut to 8."""
    import imagecodecs
    import tifffile

    associated = False
    if picture.format == "PNG":
        values = imagecodecs.png_decode(_content(source))
    elif picture.format == "JPEG2000":
        values = np.atleast_3d(imagecodecs.jpeg2k_decode(_content(source)))
        top = 2 ** _jpeg2000_bits(picture, source) - 1
        values = (values.astype(np.float32) * (65535 / top)).round()
    else:
        # a stream of its own: Pillow goes on in the source's
        stream = source if isinstance(source, Path) else io.BytesIO(source.getvalue())
        with tifffile.TiffFile(stream) as tiff:
            page = tiff.pages[index].aspage()
            values = page.asarray()
            if page.planarconfig == 2:
                values = np.moveaxis(values, 0, -1)
            associated = 1 in tuple(page.extrasamples or ())
    values = np.asarray(values, np.uint16)
    channels = 1 if values.shape[-1] < 3 else 3
    color = values[..., :channels]
    has_alpha = picture.mode in ("RGBA", "LA", "RGBa", "La") and values.shape[-1] > channels
    alpha = np.ascontiguousarray(values[..., channels]) if has_alpha else None
    if alpha is not None and associated:
        share = np.maximum(alpha, 1)[..., None] / 65535
        color = (color / share).round().clip(0, 65535).astype(np.uint16)
    return Pixels(color, alpha)


def _orientation(frame: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where the EXIF is damaged."""
    with suppress(Exception):  # Pillow raises what it likes; the pixels may be whole
        value = frame.getexif().get(Base.Orientation, 1)
        return value if value in range(1, 9) else 1
    return 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turned as EXIF's orientation, 1 to 8, says."""

    def turn(x: np.ndarray) -> np.ndarray:
        if orientation in (5, 6, 7, 8):
            x = x.swapaxes(0, 1)
        if orientation in (3, 4, 7, 8):
            x = x[::-1]
        if orientation in (2, 3, 6, 7):
            x = x[:, ::-1]
        return np.ascontiguousarray(x)

    alpha = None if pixels.alpha is None else turn(pixels.alpha)
    return Pixels(turn(pixels.color), alpha)


def _is_lossy_webp(source: Source, format_: str) -> bool:
    if format_ != "WEBP":
        return False
    return b"VP8L" not in _content(source, 64)


def _content(source: Source, count: int = -1) -> bytes:
    """The first `count` bytes of a file, or all."""
    if isinstance(source, Path):
        with open(source, "rb") as stream:
            return stream.read(count)
    return source.getvalue()[: None if count < 0 else count]


@contextmanager
def _opened(source: Source, name: str, truncated: bool) -> Iterator[Any]:
    size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    if size == 0:
        raise PictureError("the file is empty")
    if size > MAX_BYTES:
        raise PictureError(f"{size >> 20:,} MB are more than {MAX_BYTES >> 20:,} MB")
    with warnings.catch_warnings(action="ignore"):
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated  # a switch for the whole process
        with open_image(source, name) as picture:
            yield picture


@contextmanager
def _reasons(name: str) -> Iterator[None]:
    """Make any error of a decoder a `PictureError` that names the file."""
    try:
        yield
    except PictureError as error:
        text = str(error)
        raise PictureError(text if text.startswith(name) else f"{name}: {text}") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: far too many pixels; shrink it first") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged files raise what they like
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"{name}: cannot be read ({reason})") from error
