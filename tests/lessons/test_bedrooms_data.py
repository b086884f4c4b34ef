"""Bedrooms: crops of the photos, and LSUN's from its address."""

import hashlib
import io
import tarfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lessonpipe.errors import MissingError, UserError
from lessons.bedrooms import data
from tests.conftest import ROOT, make_picture


def jpeg(seed, size=(96, 64)):
    stream = io.BytesIO()
    make_picture(*size, seed=seed).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def bedrooms(count=12):
    """An archive like LSUN's at fastai: pictures in folders in folders."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for i in range(count):
            content = jpeg(i)
            member = tarfile.TarInfo(f"bedroom/{i % 3}/{i % 2}/0/{i:040x}.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("bedroom/0/evil.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("bedroom/notes.txt"))
    return stream.getvalue()


def test_crops_have_the_scales_that_are_asked_for_and_are_the_same_each_time():
    photo = make_picture(300, 200, seed=1)
    crops = data.cut(photo, "a.jpg", px=64, zoom=2, count=20, seed=1)
    assert crops.shape == (20, 3, 64, 64) and crops.dtype == torch.uint8
    assert crops.equal(data.cut(photo, "a.jpg", px=64, zoom=2, count=20, seed=1))
    assert not crops.equal(data.cut(photo, "b.jpg", px=64, zoom=2, count=20, seed=1))
    whole = data.cut(make_picture(100, 100, seed=1), "a.jpg", px=64, zoom=1, count=1, seed=1)[0]
    small = np.asarray(make_picture(100, 100, seed=1).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.abs(whole.permute(1, 2, 0).numpy().astype(int) - small).max() <= 2


def test_no_photo_is_on_both_sides_and_each_gives_its_crops():
    files = [(f"{i}.jpg", jpeg(i)) for i in range(8)]
    side = data.by_name(1, 0.3)
    sides = [side(name) for name, _ in files]
    assert {"train", "valid"} == set(sides)
    counts = {"train": 3, "valid": 5}
    rooms, failed = data.crops([*files, ("x.jpg", b"none")], side, counts, px=32, zoom=1.5, seed=1)
    assert list(failed) == ["x.jpg"]
    assert {k: len(v) for k, v in rooms.items()} == {
        name: counts[name] * sides.count(name) for name in counts
    }


def test_a_side_without_pictures_is_told():
    with pytest.raises(UserError, match=r"no pictures are on the train side.*not a picture"):
        data.crops([("a.jpg", b"x")], lambda _: "train", {"train": 1}, px=32, zoom=1, seed=1)


@pytest.fixture
def lsun(serve, monkeypatch, tmp_path):
    """Serves an archive as LSUN's, of the size and hash that are asked for."""

    def start(body, manner="well"):
        server = serve(manner, body)
        head = data.LSUN.head
        digest = hashlib.md5(body[:head]).hexdigest()
        monkeypatch.setattr(data, "LSUN", replace(data.LSUN, size=len(body), digest=digest))
        monkeypatch.setenv("LESSONPIPE_BEDROOMS_URL", server.url)
        monkeypatch.chdir(tmp_path)
        return server

    return start


def collect(**changes):
    from tasks import bedrooms_data
    from tasks.pipeline.params import load

    p = load(bedrooms_data.Params, "bedrooms_data", ROOT / "params.yaml")
    profile = yaml.safe_load((ROOT / "profiles/lsun.yaml").read_text())["bedrooms_data"]
    bedrooms_data.run(p.model_copy(update={**profile, **changes}))


def test_lsun_comes_from_its_address_with_nothing_unpacked(lsun, tmp_path):
    lsun(bedrooms(), "breaks")
    collect(valid_share=0.3)
    rooms = data.load(tmp_path / "data/bedrooms")
    assert len(rooms["train"]) + len(rooms["valid"]) == 12
    assert rooms["train"].shape[1:] == (3, 64, 64)
    assert not list(tmp_path.rglob("*.jpg"))
    collect(valid_share=0.5, photos=8)
    rooms = data.load(tmp_path / "data/bedrooms")
    assert len(rooms["train"]) + len(rooms["valid"]) == 8


def test_the_real_lsun_has_fastais_address_size_and_hash():
    from fastai.data.external import URLs

    assert data.LSUN.url == URLs.LSUN_BEDROOMS
    assert (data.LSUN.size, data.LSUN.digest, data.LSUN.head) == (
        4579163978, "35d84f38f8a15fe47e66e460c8800d68", 2**20
    )  # fmt: skip


def test_bytes_of_another_size_or_hash_are_refused(lsun, monkeypatch, tmp_path):
    lsun(bedrooms())
    right = data.LSUN
    for wrong in (replace(right, size=right.size + 1), replace(right, digest="0" * 32)):
        monkeypatch.setattr(data, "LSUN", wrong)
        with pytest.raises(UserError, match=r"gave \d+ of \d+ bytes with md5 .* twice"):
            collect()
    assert not (tmp_path / "data/bedrooms").exists()


def flipped(body):
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 255]) + body[middle + 1 :]


@pytest.mark.parametrize(
    "broken", [lambda b: b[: len(b) // 2], lambda b: b"no archive" * 500, flipped, lambda b: b[:-4]]
)
def test_a_broken_archive_is_refused_with_a_message(broken, lsun, tmp_path):
    lsun(broken(bedrooms()))
    with pytest.raises(UserError, match="is not a whole tar"):
        collect(valid_share=0.3)
    assert not (tmp_path / "data/bedrooms").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(lsun, monkeypatch):
    lsun(bedrooms())
    monkeypatch.setattr(data, "MOST_BYTES", 2000)
    with pytest.raises(UserError, match="too much to unpack"):
        collect(valid_share=0.3)


def test_without_a_network_the_error_says_the_cure(monkeypatch, tmp_path):
    from tasks import bedrooms_data

    monkeypatch.setenv("LESSONPIPE_BEDROOMS_URL", "http://127.0.0.1:9/bedroom.tgz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bedrooms_data, "fetch", partial(bedrooms_data.fetch, tries=1))
    with pytest.raises(UserError, match="use `source: rooms`"):
        collect()


def test_without_data_the_error_names_the_missing_file(tmp_path):
    with pytest.raises(MissingError, match=f"{tmp_path}/.* is not there"):
        data.load(tmp_path)
