"""What outlives a process, where every machine sees it: a folder, or an address fsspec knows."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessonpipe.errors import UserError


@dataclass(frozen=True)
class Storage:
    """Named bytes below `address`: a folder, or `s3://bucket/folder`, `gs://…`, `memory://…`."""

    address: str

    @classmethod
    def at(cls, place: "str | Path") -> "Storage":
        """The place; a folder's path is made absolute."""
        return cls(str(place) if "://" in str(place) else str(Path(place).resolve()))

    def __truediv__(self, name: str) -> "Storage":
        return Storage(f"{self.address.rstrip('/')}/{name}")

    def write(self, name: str, content: "bytes | memoryview") -> None:
        """Keep `content` under `name`, whole or not at all; on a disk it is there to stay."""
        if self._is_folder:
            path = Path(self.address) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.draft")
            with open(draft, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, path)
        else:
            fs, root = self._fs()
            # an object store shows it when it is whole
            with fs.open(f"{root}/{name}", "wb") as stream:
                stream.write(content)

    def read(self, name: str) -> bytes | None:
        """What was kept under `name`, or None."""
        fs, root = self._fs()
        try:
            content: bytes = fs.cat_file(f"{root}/{name}")
        except FileNotFoundError:
            return None
        return content

    def names(self, folder: str) -> list[str]:
        """What is kept in `folder`, sorted; none when it is not there."""
        fs, root = self._fs()
        try:
            found: Iterable[str] = fs.ls(f"{root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(Path(name).name for name in found if not Path(name).name.startswith("."))

    def remove(self, name: str) -> None:
        """Forget what is kept under `name`, if anything is."""
        fs, root = self._fs()
        with contextlib.suppress(FileNotFoundError):
            fs.rm(f"{root}/{name}")

    def clear(self) -> None:
        """Forget all that is kept here."""
        if self._is_folder:
            shutil.rmtree(self.address, ignore_errors=True)
            return
        fs, root = self._fs()
        if fs.exists(root):
            fs.rm(root, recursive=True)

    def check(self, told: str) -> None:
        """Raises `UserError`, which says that `told` names the place, when it cannot be used."""
        try:
            self.write("check", b"lessonpipe")
            if self.read("check") != b"lessonpipe":
                raise OSError("what is written cannot be read")
        except Exception as error:  # each file system has its own
            cure = "; install its package" if isinstance(error, ImportError) else ""
            raise UserError(f"{told}={self.address} cannot be used: {error}{cure}") from error

    @property
    def _is_folder(self) -> bool:
        return "://" not in self.address

    def _fs(self) -> tuple[Any, str]:
        import fsspec

        fs, root = fsspec.core.url_to_fs(self.address)
        fs.invalidate_cache()  # other machines write here, too
        return fs, str(root).rstrip("/")


def to_bytes(save: Any) -> memoryview:
    """What `save(stream)` writes."""
    stream = io.BytesIO()
    save(stream)
    return stream.getbuffer()
