"""Storage that outlives a process and that every machine sees: a folder, or fsspec's addresses."""

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lessonpipe.errors import UserError, redact_credentials
from lessonpipe.io.atomic import atomic_file

DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Storage:
    """Named bytes below `address`: a folder, or `s3://bucket/folder`, `gs://…`, `memory://…`."""

    address: str

    def __repr__(self) -> str:  # for messages and logs, and so without keys
        return redact_credentials(self.address)

    @classmethod
    def at(cls, address: str | Path) -> "Storage":
        """The storage at an address; a folder's path is made absolute."""
        return cls(str(address) if "://" in str(address) else str(Path(address).resolve()))

    def __truediv__(self, name: str) -> "Storage":
        return Storage(f"{self.address.rstrip('/')}/{name}")

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write `content` under `name` atomically; in a folder it survives a power cut, too."""
        self._write(name, content)

    def write_checked(self, name: str, content: bytes | memoryview) -> None:
        """Write `content` so that `read_checked` knows whether it came back as it was."""
        self._write(name, hashlib.sha256(content).digest(), content)

    def read_checked(self, name: str) -> memoryview | None:
        """What `write_checked` wrote under `name`, or None.

        Damaged bytes are read once more. Raises `UserError`, which names them, if they stay so.
        """
        for _ in range(2):
            found = self.read(name)
            if found is None:
                return None
            digest, content = found[:DIGEST_BYTES], memoryview(found)[DIGEST_BYTES:]
            if hashlib.sha256(content).digest() == digest:
                return content
        raise UserError(
            f"{self / name} is damaged: its bytes are not those that were written; remove it, "
            "check the disk or network that it is on, and run again"
        )

    def _write(self, name: str, *parts: bytes | memoryview) -> None:
        if self._is_folder:
            path = Path(self.address) / name
            with atomic_file(path, fsync=True) as draft, draft.open("wb") as stream:
                stream.writelines(parts)
        else:
            fs, root = self._fs()
            # an object store shows an object when all of it has arrived
            with fs.open(f"{root}/{name}", "wb") as stream:
                for part in parts:
                    stream.write(part)

    def read(self, name: str) -> bytes | None:
        """The bytes under `name`, or None."""
        fs, root = self._fs()
        try:
            content: bytes = fs.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def names(self, folder: str) -> list[str]:
        """The names in `folder`, sorted; an empty list when it does not exist."""
        fs, root = self._fs()
        try:
            found: Iterable[str] = fs.ls(f"{root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(Path(name).name for name in found if not Path(name).name.startswith("."))

    def remove(self, name: str) -> None:
        """Delete what is under `name`, if anything is."""
        fs, root = self._fs()
        with contextlib.suppress(FileNotFoundError):
            fs.rm(f"{root}/{name}")

    def clear(self) -> None:
        """Delete everything."""
        if self._is_folder:
            shutil.rmtree(self.address, ignore_errors=True)
            return
        fs, root = self._fs()
        if fs.exists(root):
            fs.rm(root, recursive=True)

    def check(self, setting: str) -> None:
        """Write and read a little. Raises `UserError`, which names the `setting`, if that fails."""
        try:
            self.write("check", b"lessonpipe")
            if self.read("check") != b"lessonpipe":
                raise OSError("what is written cannot be read")
        except Exception as error:  # each file system has its own
            cure = ""
            if isinstance(error, ImportError):
                has_extra = self.address.startswith("s3:")
                cure = "; " + ("pip install 'lessonpipe[cluster]'" if has_extra else "install it")
            raise UserError(f"{setting}={self.address} cannot be used: {error}{cure}") from error

    @property
    def _is_folder(self) -> bool:
        return "://" not in self.address

    def _fs(self) -> tuple[Any, str]:
        import fsspec

        fs, root = fsspec.core.url_to_fs(self.address)
        fs.invalidate_cache()  # other machines write here, too
        return fs, str(root).rstrip("/")


def to_bytes(save: Callable[[BinaryIO], Any]) -> memoryview:
    """The bytes that `save(stream)` writes."""
    stream = io.BytesIO()
    save(stream)
    return stream.getbuffer()
