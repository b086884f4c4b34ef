"""Files that travel: equal bytes for equal files, unpacked once, never outside of their folder."""

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from lessonpipe.errors import UserError
from lessonpipe.io import transfer


def test_equal_files_packed_at_different_times_give_equal_bytes(tmp_path: Path) -> None:
    packed = []
    for number, names in enumerate((("x", "y"), ("y", "x"))):
        folder = tmp_path / str(number)
        (folder / "deep").mkdir(parents=True, mode=0o700 + 0o55 * number)
        for name in names:
            (folder / "deep" / name).write_text("the same")
            (folder / "deep" / name).chmod(0o600 + 0o44 * number)
            os.utime(folder / "deep" / name, (number * 1e9 + 0.5,) * 2)
        packed.append(transfer.pack({"data": folder, "one": folder / "deep/x"}))
    (tmp_path / "0/deep/x").unlink()
    (tmp_path / "0/deep/x").symlink_to(tmp_path / "1/deep/x")
    (tmp_path / "0/deep/y").unlink()
    (tmp_path / "0/deep/y").hardlink_to(tmp_path / "1/deep/x")
    packed.append(transfer.pack({"one": tmp_path / "1/deep/x", "data": tmp_path / "0"}))
    assert packed[0] == packed[1] == packed[2]


def test_unpacked_files_have_the_time_of_now_and_the_mode_of_the_umask(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    os.utime(tmp_path / "x", (0, 0))
    before = time.time() - 1
    transfer.unpack(transfer.pack({"x": tmp_path / "x"}), tmp_path / "out")
    assert (tmp_path / "out/x").stat().st_mtime > before
    (tmp_path / "beside").touch()
    assert (tmp_path / "out/x").stat().st_mode == (tmp_path / "beside").stat().st_mode


def test_packing_and_unpacking_many_files_take_time_by_their_number(tmp_path: Path) -> None:
    for i in range(2_000):
        (tmp_path / f"{i}").write_bytes(bytes(1_000))
    start = time.process_time()
    transfer.unpack(transfer.pack({"in": tmp_path}), tmp_path.with_name(f"{tmp_path.name}_out"))
    assert time.process_time() - start < 15  # 0.6 s; quadratic it would be many minutes


def test_an_archive_is_unpacked_once_under_the_names_that_it_was_packed_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "a/deep").mkdir(parents=True)
    (tmp_path / "a/deep/x").write_bytes(b"x")
    (tmp_path / "y").write_bytes(b"y")
    packed = transfer.pack({"data/a": tmp_path / "a", "file": tmp_path / "y"})
    fetched = []

    def fetch() -> bytes:
        fetched.append(1)
        return packed

    for _ in range(2):
        folder = transfer.unpack_once("key", fetch)
        assert (folder / "data/a/deep/x").read_bytes() == b"x"
        assert (folder / "file").read_bytes() == b"y"
    assert len(fetched) == 1


def test_an_archive_that_could_not_be_fetched_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(OSError):
        transfer.unpack_once("key", lambda: (_ for _ in ()).throw(OSError("the network")))
    (tmp_path / "y").write_bytes(b"y")
    folder = transfer.unpack_once("key", lambda: transfer.pack({"y": tmp_path / "y"}))
    assert (folder / "y").read_bytes() == b"y"


def test_nothing_in_an_archive_gets_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "y").write_bytes(b"y")
    packed = transfer.pack({"../../out": tmp_path / "y"})
    with pytest.raises(Exception, match="outside"):
        transfer.unpack(packed, tmp_path / "deep/folder")


def test_no_folder_that_others_can_write_is_unpacked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "y").write_bytes(b"y")
    packed = transfer.pack({"y": tmp_path / "y"})
    root = tmp_path / f"lessonpipe-{os.getuid()}"
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    planted = [
        lambda: root.symlink_to(mine),
        lambda: root.touch(mode=0o700),
        lambda: (root.mkdir(), root.chmod(0o777)),
        lambda: (root.mkdir(), root.chmod(0o750)),
    ]
    if os.getuid() == 0:
        planted.append(lambda: (root.mkdir(mode=0o700), os.chown(root, 12345, -1)))
    for plant in planted:
        plant()
        with pytest.raises(UserError, match=f"{root} .*; remove it, or set TMPDIR"):
            transfer.unpack_once("key", lambda: packed)
        assert not list(mine.iterdir())
        root.rmdir() if root.is_dir() and not root.is_symlink() else root.unlink()
    assert (transfer.unpack_once("key", lambda: packed) / "y").read_bytes() == b"y"


def test_an_archive_that_unpacks_to_more_than_its_own_size_is_none(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        sparse = tarfile.TarInfo("sparse")
        sparse.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.name": "sparse",
            "GNU.sparse.size": str(10**15),
            "GNU.sparse.map": f"{10**15},0",
        }
        tar.addfile(sparse)
    zipped = io.BytesIO()
    with tarfile.open(fileobj=zipped, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    (tmp_path / "y").write_bytes(bytes(9_000))
    whole = transfer.pack({"y": tmp_path / "y"})
    for packed in (out.getvalue(), zipped.getvalue(), whole[:5_000], b"x" * 9_000):
        with pytest.raises(UserError, match="what is to be unpacked"):
            transfer.unpack(packed, tmp_path / "out")
    assert not (tmp_path / "out/sparse").exists()
