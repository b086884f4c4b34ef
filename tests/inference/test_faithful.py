"""What goes in comes out: kinds, depth, grey, transparency, pages, compression."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.ExifTags import Base

from lessonpipe.errors import PictureError
from lessonpipe.inference.batch import AlreadyRestoredError
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.restorer import Restorer
from tests.conftest import make_picture
from tests.inference.conftest import RestoreFile


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
