"""Storage in a folder and in an object store behaves the same."""

import sys
from pathlib import Path

import pytest
from fsspec.registry import _registry

from lessonpipe.errors import UserError
from lessonpipe.io.storage import Storage, to_bytes


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    in_memory = f"memory://{tmp_path.name}/kept"
    return Storage.at(tmp_path / "kept" if request.param == "folder" else in_memory)


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


def test_what_was_half_written_has_no_name(tmp_path: Path) -> None:
    storage = Storage.at(tmp_path)
    storage.write("kept/a", b"a")
    (tmp_path / "kept/.b.draft").write_bytes(b"hal")  # killed here
    assert storage.names("kept") == ["a"]


def test_a_relative_folder_is_of_the_folder_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage.at("here")
    monkeypatch.chdir("/")
    storage.write("a", b"a")
    assert (tmp_path / "here/a").read_bytes() == b"a"


@pytest.mark.parametrize("address", ["nothing://x/y", "/proc/nowhere", "s3://no-such-bucket/x"])
def test_an_address_that_cannot_be_used_is_an_error_that_names_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(UserError, match=f"THE_SETTING={address} cannot be used"):
        Storage.at(address).check("THE_SETTING")


def test_without_the_extra_for_s3_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)  # another test loaded it
    with pytest.raises(
        UserError, match=r"THE_SETTING=s3://b/f.*pip install 'lessonpipe\[cluster\]'"
    ):
        Storage.at("s3://b/f").check("THE_SETTING")


def test_damaged_bytes_are_read_once_more_and_then_named(storage: Storage) -> None:
    storage.write_checked("kept/last.pt", b"state")
    assert storage.read_checked("kept/last.pt") == b"state"
    assert storage.read_checked("kept/none.pt") is None
    whole = storage.read("kept/last.pt")
    assert whole is not None
    for damaged in (b"", whole[:20], whole[:-1], whole[:-1] + b"E", bytes(len(whole))):
        storage.write("kept/last.pt", damaged)
        with pytest.raises(UserError, match=r"kept/last.pt.* is damaged: .* remove it"):
            storage.read_checked("kept/last.pt")

    answers = [bytes(40), whole]

    class Flaky(Storage):
        def read(self, name: str) -> bytes | None:
            return answers.pop(0)

    assert Flaky(storage.address).read_checked("kept/last.pt") == b"state"
