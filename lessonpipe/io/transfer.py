"""Files and folders packed into bytes, to travel between machines that share no disk."""

import io
import os
import shutil
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_folder

MAX_UNUSED_SECONDS = 24 * 3600  # unpacked folders that nobody used for longer are removed
MAX_FILES = 10_000_000  # in one parcel


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


def unpack(packed: bytes | memoryview, folder: Path) -> None:
    """Extract what `pack` packed into `folder`, as new files; nothing gets outside of it.

    Raises `UserError` for what is no such tar: broken, of files larger than itself, or too many.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:  # compressed it is none
            total = 0
            for count, member in enumerate(tar):
                total += member.size
                if total > len(packed) or count >= MAX_FILES:
                    raise UserError(
                        f"what is to be unpacked into {folder} is larger than what was packed, or "
                        f"of more than {MAX_FILES} files: no run packs such a thing"
                    )
            tar.extractall(folder, filter=_as_new)  # noqa: S202 (it is Python's data filter)
    except tarfile.TarError as error:
        raise UserError(f"what is to be unpacked into {folder} is damaged: {error}") from error


def _as_new(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    safe = tarfile.data_filter(member, folder)
    # whoever watches a file's time must notice that it is another one; the umask gives the mode
    return safe.replace(mtime=None, mode=None, deep=False)  # type: ignore[arg-type]


def unpack_once(key: str, fetch: Callable[[], bytes | memoryview]) -> Path:
    """The folder where the archive called `key` is unpacked, once for all processes of a machine.

    The first process gets its bytes from `fetch`, and removes what nobody used for a day. Raises
    `UserError` where others can write into the folder of unpacked archives.
    """
    root = _private_folder()
    folder = root / key
    with FileLock(root / f"{key}.lock"):
        if folder.is_dir():
            os.utime(folder)
            return folder
        for old in root.iterdir():
            if old.is_dir() and time.time() - old.stat().st_mtime > MAX_UNUSED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        with atomic_folder(folder, fsync=True) as draft:
            unpack(fetch(), draft)
        os.utime(folder)
    return folder


def _private_folder() -> Path:
    """The folder for what is unpacked; `UserError` unless this user alone can write there."""
    root = Path(tempfile.gettempdir()) / f"lessonpipe-{os.getuid()}"
    with suppress(FileExistsError):
        root.mkdir(mode=0o700, parents=True)
    found = root.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise UserError(
            f"{root} is no folder that this user alone can enter, so others may change what is "
            "unpacked there; remove it, or set TMPDIR to a folder of your own"
        )
    return root
