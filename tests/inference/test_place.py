"""Without a place, no tag that ExifTool knows says where a picture was taken, and no byte of it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD
from PIL.PngImagePlugin import PngInfo

from lessonpipe.app.cli import main
from lessonpipe.inference.inbox import restore_new
from lessonpipe.inference.place import iptc_without_place, xmp_without_place
from tests.conftest import make_picture
from tests.inference.conftest import RestoreFile

EXIFTOOL = shutil.which("exiftool")
PLACE = [  # as ExifTool writes it, in every way that it knows of a picture
    *("-GPSLatitude=48.858370", "-GPSLatitudeRef=N", "-GPSLongitude=2.294481", "-GPSAltitude=1234"),
    *("-GPSLongitudeRef=E", "-GPSAreaInformation=Secretville", "-GPSDateStamp=2001:02:03"),
    *("-XMP-exif:GPSLatitude=48.858370", "-XMP-exif:GPSLongitude=2.294481"),
    *("-XMP-photoshop:City=Secretville", "-XMP-photoshop:Country=Secretland"),
    *("-XMP-iptcCore:Location=Secretville", "-XMP-iptcCore:CountryCode=SEC"),
    *("-XMP-iptcExt:LocationCreatedCity=Secretville", "-XMP-iptcExt:LocationShownGPSLatitude=48.8"),
]
IPTC = [
    *(
        "-IPTC:City=Secretville",
        "-IPTC:Sub-location=Secretville",
        "-IPTC:Country-PrimaryLocationName=Sec",
    ),
    *(
        "-IPTC:Province-State=Secretville",
        "-IPTC:ContentLocationName=Secretville",
        "-IPTC:Keywords=tower",
    ),
]
KEPT = ["-EXIF:Artist=Ann", "-XMP-dc:Title=Tower", "-XMP-xmp:Rating=5"]
NAMES = re.compile(r"(?i)gps|city|location|country|state|latitude|longitude|geo|maker")


def exiftool(*words: str | Path) -> str:
    done = subprocess.run([EXIFTOOL or "", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def says(path: Path) -> str:
    """All that ExifTool finds in a file but its own name and place."""
    return exiftool("-a", "-u", "-ee", "-G1", "-s", "--System:all", path)


@pytest.mark.skipif(not EXIFTOOL, reason="ExifTool is not here")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_exiftool_finds_no_place(suffix: str, run: RestoreFile, tmp_path: Path) -> None:
    source = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[0x927C] = b"Secretville 48.858370"  # a maker note
    text = PngInfo()
    text.add_text("exif:GPSLatitude", "48858370/1000000")
    text.add_text("Raw profile type APP1", "53656372657476696c6c65")
    more = {"pnginfo": text} if suffix == "png" else {}
    make_picture(40, 30).save(source, exif=exif.tobytes(), **more)
    words = [*PLACE, *(IPTC if suffix in ("jpg", "tif") else ()), *KEPT]
    exiftool("-q", "-overwrite_original", *words, source)
    before, whole = says(source), says(run(source, "whole." + suffix))
    for told in (before, whole):  # else this test would find nothing anywhere
        assert "Secretville" in told and "GPSLatitude" in told

    out = run(source, gps=False)
    after = says(out)
    named = [
        line
        for line in after.splitlines()
        if NAMES.search(line.partition("]")[2].partition(":")[0])
    ]
    assert named == []
    assert not re.search("Secret|48.85|2.29448|48 deg|1234", after)
    assert b"Secret" not in out.read_bytes() and b"48.85" not in out.read_bytes()
    assert "Ann" in after and "Tower" in after and "Rating" in after
    assert ("tower" in after) == (suffix in ("jpg", "tif"))


@pytest.mark.skipif(not EXIFTOOL, reason="ExifTool is not here")
def test_what_crappify_writes_has_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grey.yaml").write_text("- grey\n")
    for suffix in ("jpg", "png", "webp", "tif"):
        make_picture(40, 30).save(f"a.{suffix}")
        exiftool("-q", "-overwrite_original", *PLACE, f"a.{suffix}")
        assert main(["crappify", f"a.{suffix}", "-o", "out", "--recipe", "grey.yaml"]) == 0
    made = list(Path("out").iterdir())
    assert len(made) == 4
    for path in made:
        assert not re.search("Secret|GPS|City", says(path)) and b"Secret" not in path.read_bytes()


def test_xmp_and_iptc_that_may_still_name_a_place_go_whole() -> None:
    kept = b'<a xmlns:exif="e" xmp:Rating="5" crs:Opacity="3"/>'
    assert xmp_without_place(kept) == kept
    assert xmp_without_place(kept.replace(b"xmp:", b'exif:GPSLatitude="1" xmp:')) == kept
    for odd in (b'<a e:GPSLatitude="1"/>', "<a/>".encode("utf-16"), b"<drone:GpsLongtitude>1</x>"):
        assert xmp_without_place(odd) is None
    city, word = b"\x1c\x02\x5a\x00\x05Paris", b"\x1c\x02\x19\x00\x05tower"
    assert iptc_without_place(city + word + b"\0") == word
    for odd in (city, word[:-1], b"no records", word + b"\x1c\x02\x5a\x80\x04\0\0\0\x05Paris"):
        assert iptc_without_place(odd) is None


def test_the_watched_folder_leaves_the_place_out_if_it_is_told_to(
    tmp_path: Path, model: Path
) -> None:
    (tmp_path / "inbox").mkdir()
    exif = Image.Exif()
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 30.0)})
    make_picture(40, 30).save(tmp_path / "inbox/a.jpg", exif=exif.tobytes())
    for gps in (True, False):
        (done,) = restore_new(tmp_path / "inbox", tmp_path / str(gps), model, gps=gps, settled=0)
        with Image.open(tmp_path / str(gps) / done.name) as restored:
            assert bool(restored.getexif().get_ifd(IFD.GPSInfo)) == gps
