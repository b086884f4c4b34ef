"""Pictures are decoded in a process of their own, which a hostile one can end, and nothing else."""

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from PIL.ExifTags import IFD, Base

from lessonpipe.errors import PictureError
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.decoder import DecodeLimitError, Decoder
from tests.conftest import make_picture


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


def pids(decoder: Decoder) -> set[int]:
    return {process._popen.pid for process in decoder._idle}


def save_of_every_kind(folder: Path) -> None:
    picture = make_picture(30, 20)
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Artist] = 6, "Ä. N. Other"
    exif.get_ifd(IFD.Exif)[0x9286] = b"ASCII\0\0\0a comment"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.save(folder / "a.jpg", exif=exif, icc_profile=profile, dpi=(300, 240), comment=b"\xff")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Title", "Großmutter")
    picture.quantize().save(folder / "palette.png", pnginfo=text)
    picture.convert("LA").save(folder / "grey.png")
    wide = np.random.default_rng(0).integers(0, 2**16, (20, 30, 4), dtype=np.uint16)
    tifffile.imwrite(folder / "16.tif", wide, photometric="rgb", extrasamples=["unassalpha"])
    pages = [picture, picture.convert("L"), picture.rotate(90, expand=True)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "frames.gif", save_all=True, append_images=pages[1:])


def test_it_reads_what_is_read_in_this_process(decoder: Decoder, tmp_path: Path) -> None:
    save_of_every_kind(tmp_path)
    first = pids(decoder)
    for path in sorted(tmp_path.iterdir()):
        expected = list(read_pages(path, every=True))
        for source in (path, io.BytesIO(path.read_bytes())):
            found = list(decoder.read_pages(source, every=True))
            assert len(found) == len(expected)
            for page, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(page.pixels.color, other.pixels.color)
                assert page.pixels.color.dtype == other.pixels.color.dtype
                np.testing.assert_equal(page.pixels.alpha, other.pixels.alpha)
                assert page.metadata == other.metadata
                assert (page.format, page.notes) == (other.format, other.notes)
                assert (page.compression, page.lossless) == (other.compression, other.lossless)
    assert pids(decoder) == first  # the same process all the time


def test_a_reason_is_the_same_and_ends_no_process(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    first = pids(decoder)
    reasons = []
    for read in (read_pages, decoder.read_pages):
        with pytest.raises(PictureError) as error:
            list(read(tmp_path / "a.jpg", every=False))
        reasons.append(str(error.value))
    assert reasons[0] == reasons[1] and pids(decoder) == first


def save_empty(path: Path, width: int, height: int) -> Path:
    """A PNG of some kilobytes, however many pixels it has."""
    Image.new("1", (width, height)).save(path)
    return path


def test_one_that_takes_too_long_is_ended_and_the_next_is_read(tmp_path: Path) -> None:
    slow = save_empty(tmp_path / "slow.png", 10_000, 10_000)
    make_picture(30, 20).save(tmp_path / "a.png")
    with Decoder(seconds=0.1) as decoder:
        started = time.monotonic()
        with pytest.raises(DecodeLimitError, match=r"slow.png: .* takes more than 0.1 s"):
            list(decoder.read_pages(slow, every=False))
        assert time.monotonic() - started < 5
        decoder.seconds = 60
        assert next(decoder.read_pages(tmp_path / "a.png", every=False)).pixels.size == (30, 20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_one_that_takes_too_much_memory_is_ended_and_takes_none_here(tmp_path: Path) -> None:
    large = save_empty(tmp_path / "large.png", 11_000, 10_000)
    before = psutil.Process().memory_info().rss
    with Decoder(memory=350 * 2**20) as decoder:
        with pytest.raises(DecodeLimitError, match=r"large.png: .* more than 0.342 GB of memory"):
            list(decoder.read_pages(large, every=False))
        make_picture(30, 20).save(tmp_path / "a.png")
        assert len(list(decoder.read_pages(tmp_path / "a.png", every=False))) == 1
    assert psutil.Process().memory_info().rss - before < 50 * 2**20


def test_one_that_crashes_its_decoder_is_named(tmp_path: Path) -> None:
    slow = save_empty(tmp_path / "slow.png", 10_900, 10_900)
    with Decoder() as decoder:
        (pid,) = pids(decoder)
        crash = threading.Timer(0.5, os.kill, (pid, signal.SIGSEGV))
        crash.start()

        def read_again_and_again() -> None:
            for _ in range(50):
                list(decoder.read_pages(slow, every=False))

        with pytest.raises(DecodeLimitError, match="its decoder crashed: SIGSEGV"):
            read_again_and_again()


def test_nobody_who_is_killed_leaves_a_process(tmp_path: Path) -> None:
    script = "import sys, time; from lessonpipe.inference.decoder import Decoder; "
    script += "d = Decoder(); print(d._idle[0]._popen.pid, flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(20)


POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n{} loop\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.jpg", "a.eps", "a.png"])
def test_no_postscript_is_run_whatever_it_is_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text(POSTSCRIPT)
    ghostscript = tmp_path / "bin/gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    with Decoder() as decoder, pytest.raises(PictureError, match="not a picture"):
        list(decoder.read_pages(tmp_path / name, every=False))
    assert not (tmp_path / "run").exists()


def test_a_file_of_more_bytes_than_any_picture_has_is_not_read(
    decoder: Decoder, tmp_path: Path
) -> None:
    with open(tmp_path / "a.tif", "wb") as stream:
        stream.write(b"II*\0")
        stream.truncate(60 * 2**30)  # sparse
    started = time.monotonic()
    with pytest.raises(PictureError, match="61,440 MB are more than 2,048 MB"):
        list(decoder.read_pages(tmp_path / "a.tif", every=False))
    assert time.monotonic() - started < 2


def test_a_damaged_exif_block_costs_no_picture(decoder: Decoder, tmp_path: Path) -> None:
    picture = make_picture(30, 20)
    picture.save(tmp_path / "whole.jpg", quality=100, subsampling=0)
    with Image.open(tmp_path / "whole.jpg") as whole:
        expected = np.asarray(whole)
    rng = random.Random(0)
    exif = Image.Exif()
    exif[Base.Artist], exif[Base.XResolution] = "somebody", 72.5
    exif.get_ifd(IFD.GPSInfo)[2] = (1.0, 2.0, 3.0)
    good = exif.tobytes()
    for number in range(60):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 8)):
            bad[rng.randrange(6, len(bad))] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
        path = tmp_path / f"{number}.jpg"
        picture.save(path, quality=100, subsampling=0, exif=bytes(bad))
        (page,) = decoder.read_pages(path, every=False)
        np.testing.assert_array_equal(page.pixels.color, expected)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "gif", "bmp", "jp2", "avif", "tga"])
def test_mutated_files_give_a_picture_or_a_reason(
    kind: str, decoder: Decoder, tmp_path: Path
) -> None:
    make_picture(40, 30).save(tmp_path / f"good.{kind}")
    good = (tmp_path / f"good.{kind}").read_bytes()
    rng = random.Random(kind)
    read, reasons = 0, []
    for number in range(40):
        content = bytearray(good)
        for _ in range(rng.randint(1, 12)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if number % 3 == 0:
            del content[rng.randrange(len(content)) :]
        try:
            for page in decoder.read_pages(io.BytesIO(bytes(content)), "fuzzed", every=False):
                assert page.pixels.color.ndim == 3
                read += 1
        except PictureError as error:
            reasons.append(str(error))
    assert read + len(reasons) == 40 and reasons
    assert all(reason.startswith("fuzzed: ") for reason in reasons)
