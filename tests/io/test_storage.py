"""A folder and an object store keep the same things in the same way."""

from pathlib import Path

import pytest

from lessonpipe.errors import UserError
from lessonpipe.io import transfer
from lessonpipe.io.storage import Storage, to_bytes


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    place = tmp_path / "kept" if request.param == "folder" else f"memory://{tmp_path.name}/kept"
    return Storage.at(place)


def test_what_is_written_is_read_again(storage: Storage) -> None:
    assert storage.read("last.pt") is None and storage.names("kept") == []
    storage.write("last.pt", b"one")
    storage.write("last.pt", to_bytes(lambda stream: stream.write(b"two")))
    (storage / "kept").write("b.jpg", b"b")
    storage.write("kept/a.jpg", b"a")
    assert storage.read("last.pt") == b"two"
    assert storage.names("kept") == ["a.jpg", "b.jpg"] and storage.read("kept/b.jpg") == b"b"
    for _ in range(2):
        storage.remove("kept/a.jpg")
    assert storage.names("kept") == ["b.jpg"]
    storage.clear()
    storage.clear()
    assert storage.read("last.pt") is None


def test_what_was_half_written_is_not_there(tmp_path: Path) -> None:
    storage = Storage.at(tmp_path)
    storage.write("kept/a", b"a")
    (tmp_path / "kept/.b.draft").write_bytes(b"hal")  # killed here
    assert storage.names("kept") == ["a"]


def test_a_relative_folder_stays_where_it_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage.at("here")
    monkeypatch.chdir("/")
    storage.write("a", b"a")
    assert (tmp_path / "here/a").read_bytes() == b"a"


@pytest.mark.parametrize("place", ["nothing://x/y", "/proc/nowhere", "s3://no-such-bucket/x"])
def test_a_place_that_cannot_be_used_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(UserError, match=f"THE_PLACE={place} cannot be used"):
        Storage.at(place).check("THE_PLACE")


def test_a_parcel_is_unpacked_once_under_the_names_it_was_given(
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


def test_a_parcel_that_could_not_be_fetched_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(OSError):
        transfer.unpack_once("key", lambda: (_ for _ in ()).throw(OSError("the network")))
    (tmp_path / "y").write_bytes(b"y")
    folder = transfer.unpack_once("key", lambda: transfer.pack({"y": tmp_path / "y"}))
    assert (folder / "y").read_bytes() == b"y"


def test_nothing_in_a_parcel_gets_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "y").write_bytes(b"y")
    packed = transfer.pack({"../../out": tmp_path / "y"})
    with pytest.raises(Exception, match="outside"):
        transfer.unpack(packed, tmp_path / "deep/folder")
