"""What goes in comes out: kinds, depth, grey, transparency, colour, metadata, pages."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from lessonpipe.errors import PictureError
from lessonpipe.inference.batch import AlreadyRestoredError, RestoreOptions, restore_file
from lessonpipe.inference.color import SRGB
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.metadata import fit_exif
from lessonpipe.inference.restorer import Restorer
from tests.conftest import make_picture

RestoreFile = Callable[..., Path]
MAKER_NOTE, X_PIXELS, TAKEN = 0x927C, 0xA002, 0x9003


@pytest.fixture(scope="module")
def restorer(model: Path) -> Restorer:
    return Restorer(model, precision="fp32")


@pytest.fixture
def run(restorer: Restorer, tmp_path: Path) -> RestoreFile:
    """Restores `source` into a folder `out` under its name or `name`; options as keywords."""

    def restored(source: Path, name: str = "", **options: Any) -> Path:
        target = tmp_path / "out" / (name or source.name)
        restored.notes = restore_file(  # type: ignore[attr-defined]
            restorer,
            source,
            target,
            RestoreOptions(**options),
            lineage={"model": "small", "of": "x" * 200},
        )
        return target

    return restored


def exif_of(path: Path) -> Image.Exif:
    with Image.open(path) as picture:
        exif = Image.Exif()
        exif.load(picture.info["exif"])
    return exif


@pytest.mark.parametrize(
    ("suffix", "kind", "kept"),
    [
        *[(".jpg", "JPEG", "JPEG"), (".jfif", "JPEG", "JPEG"), (".jpe", "JPEG", "JPEG")],
        *[(".png", "PNG", "PNG"), (".webp", "WEBP", "WEBP"), (".tif", "TIFF", "TIFF")],
        *[(".avif", "AVIF", "AVIF"), (".jp2", "JPEG2000", "JPEG2000"), (".bmp", "BMP", "PNG")],
        *[(".gif", "GIF", "PNG"), (".tga", "TGA", "PNG"), (".ppm", "PPM", "PNG")],
    ],
)
def test_every_kind_is_read_and_written_in_its_own_or_in_png(
    suffix: str, kind: str, kept: str, run: RestoreFile, tmp_path: Path
) -> None:
    source = tmp_path / f"a{suffix}"
    make_picture(40, 30).save(source, kind)
    name = source.name if kept == kind else f"{source.name}.png"
    with Image.open(run(source, name)) as restored:
        assert (restored.format, restored.size) == (kept, (40, 30))


def test_16_bit_colours_keep_their_levels(run: RestoreFile, tmp_path: Path) -> None:
    ramp = np.linspace(20_000, 22_000, 256).astype(np.uint16)
    values = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (64, 256, 3)))
    values[..., 2] += 9000
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", compression="lzw")
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(values, codecformat="jp2"))
    for name in ("a.png", "a.tif", "a.jp2"):
        before = next(read_pages(tmp_path / name, every=False)).pixels.color
        assert np.array_equal(before, values)
        read = imagecodecs.imread(run(tmp_path / name))
        assert read.dtype == np.uint16 and read.shape == values.shape
        assert len(np.unique(read[32, :, 1])) > 100  # of 8 bits there are eight in that range


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jp2"])
def test_16_bit_grey_is_16_bit_grey(name: str, run: RestoreFile, tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 65535, 200).astype(np.uint16), (64, 200))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / name)
    with Image.open(run(tmp_path / name)) as restored:
        assert restored.mode == "I;16" and len(np.unique(np.asarray(restored)[30])) > 150


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_comes_back_in_one_channel(mode: str, run: RestoreFile, tmp_path: Path) -> None:
    make_picture(60, 40).convert("L").convert(mode).save(tmp_path / "a.png")
    with Image.open(run(tmp_path / "a.png", scale=2)) as restored:
        assert restored.mode == "L" and restored.size == (120, 80)


def test_a_model_whose_recipe_greys_gives_colours(model: Path, tmp_path: Path) -> None:
    restorer = Restorer(model, precision="fp32")
    restorer.colours = True
    assert restorer(make_picture(60, 40).convert("L")).mode == "RGB"


def test_transparency_is_kept_and_what_it_hides_draws_no_halo(
    restorer: Restorer, run: RestoreFile, tmp_path: Path
) -> None:
    size = 96
    y, x = np.mgrid[:size, :size]
    alpha = (255 * np.clip(20 - np.hypot(x - 48, y - 48) + 10, 0, 1)).astype(np.uint8)
    inside = np.where(alpha[..., None] > 0, np.uint8([90, 60, 40]), np.uint8([255, 255, 255]))
    Image.fromarray(np.dstack([inside.astype(np.uint8), alpha])).save(tmp_path / "white.png")
    plain = np.broadcast_to(np.uint8([90, 60, 40]), (size, size, 3))
    Image.fromarray(np.dstack([plain, alpha])).save(tmp_path / "plain.png")
    white, same = (np.asarray(Image.open(run(tmp_path / f"{n}.png"))) for n in ("white", "plain"))
    assert np.array_equal(white[..., 3], alpha)
    seen = alpha > 0
    assert np.abs(white[seen].astype(int) - same[seen]).max() <= 1  # as if nothing white were there


def test_transparency_is_enlarged_alone(run: RestoreFile, tmp_path: Path) -> None:
    picture = make_picture(40, 30).convert("RGBA")
    alpha = make_picture(40, 30, seed=3).convert("L")
    picture.putalpha(alpha)
    picture.save(tmp_path / "a.webp", lossless=True)
    with Image.open(run(tmp_path / "a.webp", scale=2)) as restored:
        expected = alpha.resize((80, 60), Image.Resampling.BICUBIC)
        assert np.array_equal(restored.getchannel("A"), expected)


def test_transparency_is_laid_on_white_for_a_jpeg_and_told(
    run: RestoreFile, tmp_path: Path
) -> None:
    Image.new("RGBA", (40, 30), (0, 0, 0, 0)).save(tmp_path / "a.png")
    with Image.open(run(tmp_path / "a.png", "a.jpg", format="JPEG")) as restored:
        assert np.asarray(restored.convert("RGB")).min() > 240
    assert any("transparency" in note for note in run.notes)  # type: ignore[attr-defined]


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


def test_a_file_that_says_nothing_of_dots_per_inch_says_nothing_afterwards(
    run: RestoreFile, tmp_path: Path
) -> None:
    for name in ("a.jpg", "a.tif", "a.png"):
        make_picture(40, 30).save(tmp_path / name, exif=rich_exif().tobytes())
        assert next(read_pages(tmp_path / name, every=False)).metadata.dpi is None
    with Image.open(run(tmp_path / "a.jpg")) as restored:
        assert restored.info["jfif_unit"] == 0  # the ratio of a pixel's sides, no dots per inch


def test_profiles_of_ours_have_no_date_of_now(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    make_picture(40, 30).save(tmp_path / "a.png", pnginfo=chunks)
    for profile in (SRGB, next(read_pages(tmp_path / "a.png", every=False)).metadata.icc):
        assert profile is not None and struct.unpack(">6H", profile[24:36]) == (2000, 1, 1, 0, 0, 0)


def rich_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Artist], exif[Base.Orientation] = "Cam", "José", 6
    camera = exif.get_ifd(IFD.Exif)
    camera[TAKEN], camera[X_PIXELS], camera[MAKER_NOTE] = "2001:02:03 04:05:06", 40, b"n" * 500
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 30.0, 0.0)})
    return exif


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


def test_all_pages_of_a_tiff_are_restored_or_the_first(run: RestoreFile, tmp_path: Path) -> None:
    pages = [make_picture(40, 30 + i, seed=i) for i in range(3)]
    pages[0].save(
        tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    with Image.open(run(tmp_path / "a.tif")) as restored:
        assert restored.n_frames == 3  # type: ignore[attr-defined]
        for index in range(3):
            restored.seek(index)
            assert restored.size == (40, 30 + index)
            assert restored.info["compression"] == "tiff_lzw"
    with Image.open(run(tmp_path / "a.tif", pages="first")) as restored:
        assert getattr(restored, "n_frames", 1) == 1
    assert "the first of 3 pages alone" in run.notes  # type: ignore[attr-defined]


def test_of_an_animation_the_first_frame_is_restored_and_told(
    run: RestoreFile, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    run(tmp_path / "a.gif", "a.png")
    assert "the first of 2 frames alone" in run.notes  # type: ignore[attr-defined]


def test_lossless_webp_stays_lossless(run: RestoreFile, tmp_path: Path) -> None:
    make_picture(40, 30).save(tmp_path / "a.webp", lossless=True)
    assert b"VP8L" in run(tmp_path / "a.webp").read_bytes()[:64]
    make_picture(40, 30).save(tmp_path / "b.webp", quality=80)
    assert b"VP8L" not in run(tmp_path / "b.webp").read_bytes()[:64]


@pytest.mark.parametrize(
    "compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]
)
def test_the_compression_of_a_tiff_stays(
    compression: str, run: RestoreFile, tmp_path: Path
) -> None:
    make_picture(40, 30).save(tmp_path / "a.tif", compression=compression)
    with Image.open(run(tmp_path / "a.tif")) as restored:
        assert restored.info["compression"] == compression


def test_quality_is_that_of_lossy_formats(run: RestoreFile, tmp_path: Path) -> None:
    make_picture(200, 150).save(tmp_path / "a.png")
    sizes = [
        run(tmp_path / "a.png", f"{q}.jpg", format="JPEG", quality=q).stat().st_size
        for q in (30, 90)
    ]
    assert sizes[0] * 2 < sizes[1]


def test_a_cut_off_file_is_refused_or_taken_as_far_as_it_goes(
    run: RestoreFile, tmp_path: Path
) -> None:
    make_picture(200, 150).save(tmp_path / "a.jpg", quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(PictureError, match=r"a\.jpg: cannot be read .*truncated"):
        run(tmp_path / "a.jpg")
    assert not (tmp_path / "out/a.jpg").exists()
    assert Image.open(run(tmp_path / "a.jpg", truncated=True)).size == (200, 150)
    with pytest.raises(PictureError):  # it was for that file
        run(tmp_path / "a.jpg", "b.jpg")


def test_what_lessonpipe_restored_is_left_unless_it_is_asked_for(
    run: RestoreFile, tmp_path: Path
) -> None:
    make_picture(40, 30).save(tmp_path / "a.png")
    once = run(tmp_path / "a.png").rename(tmp_path / "once.png")
    with pytest.raises(AlreadyRestoredError, match="--again"):
        run(once)
    assert run(once, again=True).is_file()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_as_pillow_turns_8(orientation: int, tmp_path: Path) -> None:
    values = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    Image.fromarray(values).save(tmp_path / "8.png", exif=exif)
    tifffile.imwrite(
        tmp_path / "16.tif",
        values.astype(np.uint16) * 257,
        photometric="rgb",
        extratags=[(274, 3, 1, orientation, True)],
    )
    eight, sixteen = (
        next(read_pages(tmp_path / n, every=False)).pixels.color for n in ("8.png", "16.tif")
    )
    assert np.array_equal(eight.astype(int) * 257, sixteen)
