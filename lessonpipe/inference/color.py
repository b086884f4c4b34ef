"""Colour profiles: what becomes sRGB for the work, and what keeps its numbers and its profile."""

import io
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageCms


def _undated(profile: bytes) -> bytes:
    """A profile made in 2000, not now: the same picture gives the same bytes."""
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


SRGB = _undated(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
SRGB_GAMMA = 1 / 2.2  # what PNG files say for it
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue
SPACES = {"RGB ": ("RGB", "RGBA", "RGBX", "P", "PA"), "GRAY": ("1", "L", "LA", "I;16")}


def to_working_space(
    picture: Image.Image, icc: bytes | None
) -> tuple[Image.Image, bytes | None, str | None]:
    """The picture in a space that the network works in, the profile of its numbers, a note.

    RGB and grey keep their numbers and their profile, so that no colour of a wide gamut is lost and
    no level is rounded. CMYK, Lab and YCbCr become sRGB, through lcms where there is a profile. A
    profile of another kind of space than the picture's is left out: no viewer can apply it.
    """
    space = profile_space(icc)
    if picture.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        if icc and space == {"CMYK": "CMYK", "LAB": "Lab ", "YCbCr": "YCbr"}.get(picture.mode):
            try:
                converted = ImageCms.profileToProfile(
                    picture, io.BytesIO(icc), io.BytesIO(SRGB), outputMode="RGB"
                )
                assert converted is not None  # it is None for inPlace alone
                return converted, SRGB, f"{picture.mode} converted to sRGB by its profile"
            except ImageCms.PyCMSError:
                pass  # a damaged profile: as without one
        return picture.convert("RGB"), SRGB, f"{picture.mode} without a usable profile became sRGB"
    if icc and picture.mode not in SPACES.get(space or "", ()):
        return picture, None, "its colour profile is damaged or of another space, and was left out"
    return picture, icc, None


def profile_space(icc: bytes | None) -> str | None:
    """The colour space that a profile describes, four letters as in its header; None if damaged."""
    if not icc:
        return None
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.xcolor_space)
    except (OSError, ImageCms.PyCMSError):
        return None


def grey_profile(icc: bytes | None) -> tuple[bool, bytes | None]:
    """Whether RGB numbers of this profile may become one grey channel, and that one's profile.

    Grey without a profile is read as sRGB's grey, which is right for sRGB alone.
    """
    if icc is None or profile_space(icc) == "GRAY":
        return True, icc
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except (OSError, ImageCms.PyCMSError):
        return True, None
    return ("sRGB" in name), None


def png_color(
    info: Mapping[str | tuple[int, int], Any], *, grey: bool
) -> tuple[bytes | None, dict[bytes, bytes]]:
    """What a PNG file without a profile says of its colours: a profile, or chunks for PNG's.

    `gAMA` and `cHRM` that mean sRGB stay chunks, as `sRGB` does; others become the profile that
    they describe, which other formats hold, too. `info` is Pillow's.
    """
    gamma, primaries = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info:
        return None, {b"sRGB": bytes([info["srgb"]])}
    if not gamma:
        return None, {}
    near = all(
        abs(a - b) < 0.002 for a, b in zip(primaries or SRGB_PRIMARIES, SRGB_PRIMARIES, strict=True)
    )
    if abs(gamma - SRGB_GAMMA) < 0.01 and near:
        chunks = {b"gAMA": struct.pack(">I", round(gamma * 100_000))}
        if primaries:
            chunks[b"cHRM"] = struct.pack(">8I", *(round(v * 100_000) for v in primaries))
        return None, chunks
    import imagecodecs

    white, colors = (primaries or SRGB_PRIMARIES)[:2], (primaries or SRGB_PRIMARIES)[2:]
    try:
        profile = imagecodecs.cms_profile(
            "gray" if grey else "rgb",
            whitepoint=[*white, 1.0],
            primaries=None if grey else list(colors),
            gamma=1 / gamma,
        )
        return _undated(bytes(profile)), {}
    except (ValueError, RuntimeError):  # numbers that are no colours
        return None, {}
