"""What is uploaded for the cluster's nodes arrives as it was, or is named."""

import hashlib
from pathlib import Path

import pytest

from lessonpipe.cluster.remote import RemoteFiles
from lessonpipe.errors import LessonpipeError
from lessonpipe.io import transfer
from lessonpipe.io.storage import Storage


def test_a_damaged_upload_is_fetched_once_more_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "photo.jpg").write_bytes(b"photo" * 1_000)
    content = transfer.pack({"photo.jpg": tmp_path / "photo.jpg"})
    key = hashlib.sha256(content).hexdigest()
    damaged = content[:600] + b"?" + content[601:]
    reads: list[bytes] = []

    class Flaky(Storage):
        def read(self, name: str) -> bytes | None:
            assert name == f"{key}.tar"
            return reads.pop(0)

    files = RemoteFiles(key, None, Flaky(str(tmp_path / "storage")))
    reads[:] = [damaged, content[:-1]]
    with pytest.raises(LessonpipeError, match=f"{key}.tar in .*storage.* is damaged"):
        files.open()
    assert not reads
    reads[:] = [damaged, content]
    assert (files.open() / "photo.jpg").read_bytes() == b"photo" * 1_000
