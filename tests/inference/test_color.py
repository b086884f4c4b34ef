"""Colours look the same in a colour-managed viewer, through profiles and PNG's chunks."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from lessonpipe.inference.batch import RestoreOptions, restore_file
from lessonpipe.inference.color import SRGB
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.restorer import Restorer
from tests.conftest import make_picture
from tests.inference.conftest import RestoreFile


def icc(kind: str) -> bytes:
    """A profile of ours: sRGB's primaries or grey, of gamma 1.8, as lcms builds them."""
    if kind == "lab":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return SRGB


def test_lab_is_converted_to_srgb_as_lcms_does(tmp_path: Path) -> None:
    picture = make_picture(64, 48)
    lab = ImageCms.profileToProfile(
        picture, io.BytesIO(SRGB), io.BytesIO(icc("lab")), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "a.tif", icc_profile=icc("lab"))
    page = next(read_pages(tmp_path / "a.tif", every=False))
    expected = ImageCms.profileToProfile(
        Image.open(tmp_path / "a.tif"), io.BytesIO(icc("lab")), io.BytesIO(SRGB), outputMode="RGB"
    )
    assert page.metadata.icc == SRGB and "LAB" in page.notes[0]
    assert np.array_equal(page.pixels.color, expected)


def test_an_rgb_profile_and_its_numbers_stay(run: RestoreFile, tmp_path: Path) -> None:
    make_picture(40, 30).save(tmp_path / "a.jpg", icc_profile=SRGB)
    with Image.open(run(tmp_path / "a.jpg")) as restored:
        assert restored.info["icc_profile"] == SRGB


def test_a_profile_of_another_space_is_left_out_and_told(run: RestoreFile, tmp_path: Path) -> None:
    make_picture(40, 30).save(tmp_path / "a.png", icc_profile=icc("lab"))
    with Image.open(run(tmp_path / "a.png")) as restored:
        assert "icc_profile" not in restored.info
    assert any("profile" in note for note in run.notes)  # type: ignore[attr-defined]


def srgb_of(picture: Image.Image) -> np.ndarray:
    """How a colour-managed viewer shows a picture: its numbers through its profile, by lcms."""
    profile = io.BytesIO(picture.info["icc_profile"])
    shown = ImageCms.profileToProfile(picture, profile, io.BytesIO(SRGB), outputMode="RGB")
    assert shown is not None
    return np.asarray(shown, dtype=float)


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Light in 0...1 as sRGB's levels in 0...255, by IEC 61966-2-1."""
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(255 * curve)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_png_of_another_gamma_looks_the_same_in_any_format(
    mode: str, name: str, model: Path, tmp_path: Path
) -> None:
    chunks, picture = PngInfo(), make_picture(64, 48).convert(mode)
    chunks.add(b"gAMA", struct.pack(">I", 100_000))  # linear
    picture.save(tmp_path / "a.png", pnginfo=chunks)
    unchanged = Restorer(model, strength=0)
    restore_file(unchanged, tmp_path / "a.png", tmp_path / "out" / name, RestoreOptions())
    with Image.open(tmp_path / "out" / name) as restored:
        assert restored.mode == mode
        shown = srgb_of(restored)
    expected = encode_srgb(np.asarray(picture.convert("RGB"), dtype=float) / 255)
    assert np.abs(shown - expected).mean() < (1 if name == "a.png" else 4)


def test_a_png_that_says_that_it_is_srgb_says_so_again(run: RestoreFile, tmp_path: Path) -> None:
    said = {b"gAMA": struct.pack(">I", 45455), b"sRGB": b"\1"}
    for kind, data in said.items():
        chunks = PngInfo()
        chunks.add(kind, data)
        make_picture(40, 30).save(tmp_path / "a.png", pnginfo=chunks)
        assert kind + data in run(tmp_path / "a.png").read_bytes()
        (tmp_path / "out/a.png").unlink()


def test_profiles_of_ours_have_no_date_of_now(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    make_picture(40, 30).save(tmp_path / "a.png", pnginfo=chunks)
    for profile in (SRGB, next(read_pages(tmp_path / "a.png", every=False)).metadata.icc):
        assert profile is not None and struct.unpack(">6H", profile[24:36]) == (2000, 1, 1, 0, 0, 0)
