"""Files and folders packed into bytes, to travel between machines that share no disk."""

import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

MAX_UNUSED_SECONDS = 24 * 3600  # unpacked folders that nobody used for longer are removed


def pack(paths: Mapping[str, Path]) -> bytes:
    """An uncompressed tar of files and folders under the names that `paths` gives them.

    Equal files give equal bytes: owners, times, modes and links are left out, the order is by name.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as tar:
        for name, path in sorted(paths.items()):
            tar.add(path, arcname=name, filter=_anonymous)
    return stream.getvalue()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    mode = 0o755 if member.isdir() else 0o644
    # not deep, which would copy the whole archive, too
    return member.replace(mtime=0, mode=mode, uid=0, gid=0, uname="", gname="", deep=False)


def unpack(packed: bytes, folder: Path) -> None:
    """Extract what `pack` packed into `folder`, as new files; nothing gets outside of it."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter=_as_new)  # noqa: S202 (it is Python's data filter)


def _as_new(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    safe = tarfile.data_filter(member, folder)
    # whoever watches a file's time must notice that it is another one; the umask gives the mode
    return safe.replace(mtime=None, mode=None, deep=False)  # type: ignore[arg-type]


def unpack_once(key: str, fetch: Callable[[], bytes]) -> Path:
    """The folder where the archive called `key` is unpacked, once for all processes of a machine.

    The first process gets its bytes from `fetch`, and removes what nobody used for a day.
    """
    root = Path(tempfile.gettempdir()) / f"lessonpipe-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = root / key
    with FileLock(root / f"{key}.lock"):
        if folder.is_dir():
            os.utime(folder)
            return folder
        for old in root.iterdir():
            if old.is_dir() and time.time() - old.stat().st_mtime > MAX_UNUSED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        draft = root / f".{key}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        unpack(fetch(), draft)
        os.replace(draft, folder)
        os.utime(folder)
    return folder
