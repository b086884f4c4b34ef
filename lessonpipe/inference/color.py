"""Colour profiles: what becomes sRGB for the work, and what keeps its numbers and its profile."""

import io

from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
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
