"""Metadata come back whole, but for what no longer holds."""

from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from lessonpipe.inference.color import SRGB
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.metadata import fit_exif
from tests.conftest import make_picture
from tests.inference.conftest import RestoreFile

MAKER_NOTE, X_PIXELS, TAKEN = 0x927C, 0xA002, 0x9003


def exif_of(path: Path) -> Image.Exif:
    with Image.open(path) as picture:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
    return exif


def rich_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Artist], exif[Base.Orientation] = "Cam", "José", 6
    camera = exif.get_ifd(IFD.Exif)
    camera[TAKEN], camera[X_PIXELS], camera[MAKER_NOTE] = "2001:02:03 04:05:06", 40, b"n" * 500
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 30.0, 0.0)})
    return exif


def test_a_file_that_says_nothing_of_dots_per_inch_says_nothing_afterwards(
    run: RestoreFile, tmp_path: Path
) -> None:
    for name in ("a.jpg", "a.tif", "a.png"):
        make_picture(40, 30).save(tmp_path / name, exif=rich_exif().tobytes())
        assert next(read_pages(tmp_path / name, every=False)).metadata.dpi is None
    with Image.open(run(tmp_path / "a.jpg")) as restored:
        assert restored.info["jfif_unit"] == 0  # the ratio of a pixel's sides, no dots per inch


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_exif_comes_back_whole_but_for_what_no_longer_holds(
    suffix: str, run: RestoreFile, tmp_path: Path
) -> None:
    source = tmp_path / f"a.{suffix}"
    make_picture(40, 30).save(source, exif=rich_exif().tobytes())
    out = run(source, scale=2)
    with Image.open(out) as restored:
        assert restored.size == (60, 80)
        exif = restored.getexif()
        camera, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    assert exif[Base.Make] == "Cam" and exif.get(Base.Orientation, 1) == 1
    assert exif[Base.Software].startswith("lessonpipe")
    assert camera[TAKEN] == "2001:02:03 04:05:06" and camera[X_PIXELS] == 60
    assert bytes(camera[MAKER_NOTE]) == b"n" * 500
    assert place[1] == "N" and tuple(map(float, place[2])) == (48.0, 30.0, 0.0)


def test_exif_that_does_not_fit_loses_its_maker_note_first(
    run: RestoreFile, tmp_path: Path
) -> None:
    exif = rich_exif()
    exif.get_ifd(IFD.Exif)[MAKER_NOTE] = b"n" * 65_200
    make_picture(40, 30).save(tmp_path / "a.jpg", exif=exif.tobytes())
    make_picture(40, 30).save(tmp_path / "a.png", exif=exif.tobytes())
    camera = exif_of(run(tmp_path / "a.jpg")).get_ifd(IFD.Exif)
    assert MAKER_NOTE not in camera and camera[TAKEN] == "2001:02:03 04:05:06"
    assert any("maker note" in note for note in run.notes)  # type: ignore[attr-defined]
    assert MAKER_NOTE in exif_of(run(tmp_path / "a.png")).get_ifd(IFD.Exif)


def test_exif_that_does_not_fit_at_all_is_left_out_and_told() -> None:
    exif = Image.Exif()
    exif[Base.Copyright] = "c" * 70_000
    content, note = fit_exif(exif.tobytes(), 65_000)
    assert content == b"" and note is not None and "left out" in note


def test_no_gps_drops_the_place_alone(run: RestoreFile, tmp_path: Path) -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description '
        b'exif:GPSLatitude="48,30.0N" dc:t="x"><exif:GPSLongitude>2</exif:GPSLongitude>'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    make_picture(40, 30).save(tmp_path / "a.jpg", exif=rich_exif().tobytes(), xmp=xmp)
    out = run(tmp_path / "a.jpg", gps=False)
    exif = exif_of(out)
    assert not exif.get_ifd(IFD.GPSInfo) and exif.get_ifd(IFD.Exif)[TAKEN]
    said = Image.open(out).info["xmp"]
    assert b"GPS" not in said and b'dc:t="x"' in said


def test_strip_leaves_the_profile_alone(run: RestoreFile, tmp_path: Path) -> None:
    make_picture(40, 30).save(
        tmp_path / "a.jpg", exif=rich_exif().tobytes(), icc_profile=SRGB, comment=b"mine"
    )
    with Image.open(run(tmp_path / "a.jpg", strip=True)) as restored:
        assert restored.info["icc_profile"] == SRGB
        assert not {"exif", "comment", "xmp"} & set(restored.info)


def test_dots_per_inch_stay_or_grow_with_the_pixels(run: RestoreFile, tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "tif"):
        source = tmp_path / f"a.{suffix}"
        make_picture(40, 30).save(source, dpi=(300, 300))
        for print_size, expected in ((False, 300), (True, 600)):
            with Image.open(run(source, scale=2, print_size=print_size)) as restored:
                assert [round(v) for v in restored.info["dpi"]] == [expected, expected]


def test_comments_text_and_iptc_come_back(run: RestoreFile, tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x5a\x00\x04City"
    segment = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + len(iptc).to_bytes(4, "big") + iptc + b"\0"
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    make_picture(40, 30).save(tmp_path / "a.jpg", comment=b"mine", extra=extra)
    with Image.open(run(tmp_path / "a.jpg")) as restored:
        assert restored.info["comment"] == b"mine"
        assert restored.info["photoshop"][0x0404] == iptc
    text = PngInfo()
    text.add_text("Title", "plain")
    text.add_itxt("Author", "Ж")
    make_picture(40, 30).save(tmp_path / "a.png", pnginfo=text)
    with Image.open(run(tmp_path / "a.png")) as restored:
        assert restored.text == {"Title": "plain", "Author": "Ж"}  # type: ignore[attr-defined]
