"""Which files are pictures: Pillow's kinds and HEIC, by suffix in folders, by content by name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from lessonpipe.data import formats
from lessonpipe.data.photos import find_pictures, open_photo
from lessonpipe.errors import PictureError
from tests.conftest import make_picture

SAVED = {  # by a suffix, Pillow's name of the kind
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), "JPEG"),
    **dict.fromkeys(("png", "apng"), "PNG"),
    **dict.fromkeys(("tif", "tiff"), "TIFF"),
    **dict.fromkeys(("jp2", "j2k", "jpx"), "JPEG2000"),
    **dict.fromkeys(("ppm", "pnm"), "PPM"),
    **{"webp": "WEBP", "bmp": "BMP", "dib": "DIB", "gif": "GIF", "avif": "AVIF", "tga": "TGA"},
    **{"mpo": "MPO", "pcx": "PCX", "sgi": "SGI", "qoi": "QOI"},
}


@pytest.mark.parametrize("suffix", [*SAVED, "heic", "heif"])
def test_a_picture_of_each_kind_is_found_in_a_folder_and_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix.upper()}"
    picture = make_picture(64, 48)
    if suffix in SAVED:
        picture.save(path, SAVED[suffix])
    else:
        pillow_heif.from_pillow(picture).save(path, quality=90)
    assert find_pictures([tmp_path]) == [path]
    read = np.asarray(open_photo(path), dtype=float)
    assert read.shape == (48, 64, 3)
    assert np.abs(read - np.asarray(picture)).mean() < (45 if suffix == "gif" else 12)


def test_what_is_no_picture_or_cannot_be_decoded_is_no_kind() -> None:
    for name in ("a.pdf", "a.eps", "a.mpg", "a.h5", "a.fits", "a.grib", "a.wmf", "a.ico", "a.txt"):
        assert not formats.has_suffix(name)
    assert formats.has_suffix("deep/in.it/A.HEIC") and not formats.has_suffix("jpg")


def test_a_heic_called_jpg_is_read_and_turned_once(tmp_path: Path) -> None:
    picture = make_picture(64, 48)
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its side
    pillow_heif.from_pillow(picture).save(tmp_path / "a.jpg", exif=exif.tobytes())
    assert open_photo(tmp_path / "a.jpg").size == (48, 64)


def test_a_damaged_heic_is_refused_with_name_and_reason(tmp_path: Path) -> None:
    pillow_heif.from_pillow(make_picture()).save(tmp_path / "a.heic")
    whole = (tmp_path / "a.heic").read_bytes()
    for length in (40, len(whole) // 2):
        (tmp_path / "a.heic").write_bytes(whole[:length])
        with pytest.raises(PictureError, match=r"a\.heic: cannot be read"):
            open_photo(tmp_path / "a.heic")


WITHOUT = """
import sys
from pathlib import Path
sys.modules["pillow_heif"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "pillow_heif" else find(name, *more)
from lessonpipe.data.folders import format_left_aside, list_folder
from lessonpipe.data.photos import open_photo
print(format_left_aside(list_folder(Path(".")).left_aside))
try:
    open_photo("a.heic")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_the_extra_heic_is_left_aside_and_a_sentence_names_it(tmp_path: Path) -> None:
    pillow_heif.from_pillow(make_picture()).save(tmp_path / "a.heic")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "1 .heic",
        "PictureError a.heic: HEIC is read with an extra: pip install 'lessonpipe[heic]'",
    ], done.stderr


def test_heic_stays_apart_from_what_pillow_reads_by_itself_once_it_was_registered() -> None:
    assert formats.register_heif() and ".heic" in Image.registered_extensions()
    formats.pillow_suffixes.cache_clear()
    assert not formats.pillow_suffixes() & formats.HEIF_SUFFIXES
    assert formats.suffixes() >= formats.HEIF_SUFFIXES


def test_importing_the_package_loads_neither_torch_nor_pillows_plugins() -> None:
    code = (
        "import sys, lessonpipe, lessonpipe.data.folders; from PIL import Image;"
        "print([name for name in ('torch', 'ray', 'pillow_heif') if name in sys.modules], Image.ID)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
