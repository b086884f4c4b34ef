"""Downloads from a real server that misbehaves in the ways servers do."""

import hashlib
import io
import random
import tarfile
import zlib
from pathlib import Path

import pytest

from lessonpipe.data.fetch import Archive, fetch, unpack_pictures
from lessonpipe.errors import UserError
from tests.conftest import make_picture
from tests.server import BODY, Serve, Server


def archive(server: Server, body: bytes = BODY) -> Archive:
    return Archive(server.url, "sha256", hashlib.sha256(body).hexdigest())


def test_a_download_is_complete_and_not_repeated(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    for _ in range(2):
        assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert server.seen == [None]


def test_a_broken_download_asks_only_for_the_rest(serve: Serve, tmp_path: Path) -> None:
    server = serve("breaks")
    assert fetch(archive(server), tmp_path, pause=0.01).read_bytes() == BODY
    assert server.seen == [None, f"bytes={len(BODY) // 2}-"]


def test_a_partial_file_of_a_killed_run_is_resumed(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    (tmp_path / "images.tar.gz.part").write_bytes(BODY[:1000])
    assert fetch(archive(server), tmp_path).read_bytes() == BODY
    assert server.seen == ["bytes=1000-"]


def test_a_server_that_keeps_breaking_off_is_asked_again_while_bytes_come(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve("always breaks", BODY[:1000])
    path = fetch(archive(server, BODY[:1000]), tmp_path, tries=2, pause=0.001)
    assert path.read_bytes() == BODY[:1000]
    assert len(server.seen) > 5


def test_without_ranges_a_broken_download_starts_again(serve: Serve, tmp_path: Path) -> None:
    server = serve("no ranges")
    assert fetch(archive(server), tmp_path, pause=0.01).read_bytes() == BODY
    assert len(server.seen) == 2


def test_a_partial_file_of_something_else_is_replaced(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    for junk in (b"junk", b"j" * len(BODY), b"j" * (len(BODY) + 5)):
        (tmp_path / "images.tar.gz.part").write_bytes(junk)
        assert fetch(archive(server), tmp_path).read_bytes() == BODY
        (tmp_path / "images.tar.gz").unlink()


def test_wrong_bytes_are_refused_and_nothing_is_left(serve: Serve, tmp_path: Path) -> None:
    server = serve("wrong")
    with pytest.raises(UserError, match="not the one meant") as told:
        fetch(archive(server), tmp_path)
    assert server.url in str(told.value) and archive(server).digest in str(told.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("manner", "word"), [("missing", "HTTP 404"), ("garbage", "what is")])
def test_an_error_of_the_server_is_in_the_message(
    manner: str, word: str, serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="source: sample") as told:
        fetch(archive(serve(manner)), tmp_path, tries=2, pause=0.001)
    assert word in str(told.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/a.tar", "http://no-such-host.invalid/a.tar", "pets", "http://a b/c.tar"],
)
def test_without_a_server_the_error_says_the_cure(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source: sample.*source: folder") as told:
        fetch(Archive(url, "md5", "0"), tmp_path, tries=2, pause=0.001)
    assert url in str(told.value)


def test_a_full_disk_is_no_error_of_the_network(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "images.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fetch(archive(serve()), tmp_path)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    make_picture(24, 16).save(buffer, "JPEG")
    return buffer.getvalue()


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if member.isreg():
                member.size = len(jpeg())
                tar.addfile(member, io.BytesIO(jpeg()))
            else:
                tar.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_nothing_in_a_tar_is_written_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    evil = tar_of(
        tmp_path / "evil.tar.gz",
        member("images/good.jpg"),
        member("../evil.jpg"),
        member(str(tmp_path / "absolute.jpg")),
        member("link.jpg", tarfile.SYMTYPE, str(secret)),
        member("hard.jpg", tarfile.LNKTYPE, "../secret.jpg"),
        member("up", tarfile.SYMTYPE, ".."),
        member("up/through.jpg"),
        member("device.jpg", tarfile.CHRTYPE),
        member("pipe.jpg", tarfile.FIFOTYPE),
        member("images/.hidden.jpg"),
        member("images/words.mat"),
    )
    (tmp_path / "out").mkdir()
    before = set(tmp_path.rglob("*"))
    assert unpack_pictures(evil, tmp_path / "out") == 4
    written = set(tmp_path.rglob("*")) - before
    assert {path.name for path in written} == {
        "good.jpg", "evil.jpg", "absolute.jpg", "through.jpg"
    }  # fmt: skip
    for path in written:
        assert path.parent == tmp_path / "out" and path.is_file() and not path.is_symlink()
        assert path.read_bytes() == jpeg()
    assert secret.read_bytes() == b"secret"


def test_a_tar_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    big = tar_of(tmp_path / "a.tar.gz", *(member(f"{i}.jpg") for i in range(5)))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="more than"):
        unpack_pictures(big, tmp_path / "out", most_bytes=3 * len(jpeg()))
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "words"])
def test_a_broken_tar_is_refused_with_a_message(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = member("a.jpg")
        info.size = 50_000
        tar.addfile(info, io.BytesIO(random.Random(0).randbytes(info.size)))
    packer = zlib.compressobj(wbits=31)
    begun = packer.compress(plain.getvalue()[:20_000]) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(
        {
            "truncated": begun,
            "flipped": begun + b"\xff" * 100,
            "empty": b"",
            "words": b"no tar at all" * 100,
        }[damage]
    )
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"a\.tar\.gz is not a whole tar archive"):
        unpack_pictures(path, tmp_path / "out")


def test_a_plain_tar_cut_off_in_a_picture_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = member("a.jpg")
        info.size = len(jpeg())
        tar.addfile(info, io.BytesIO(jpeg()))
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 512 + len(jpeg()) // 2])
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="not a whole tar archive"):
        unpack_pictures(tmp_path / "a.tar", tmp_path / "out")
