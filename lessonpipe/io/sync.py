"""From the machine's memory onto its disk: what was written outlives a power cut then."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

# of a folder, on file systems that sync their folders by themselves, or not at all
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
MANY = 50  # files: 4000 of 1500 bytes take 0.4 s in one sync, 2.6 s by `THREADS`
THREADS = 8  # a disk is done with many files at once sooner than with one after the other


def sync_file(path: Path) -> None:
    """Put the content of a file onto the disk. Raises `OSError` when the disk cannot take it."""
    # Windows syncs only what is open for writing
    stream = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        sync_stream(stream)
    finally:
        os.close(stream)


def sync_stream(stream: int) -> None:
    """Put the content of an open file onto the disk, by its descriptor."""
    if sys.platform == "darwin":  # whose fsync leaves the content in the disk's own memory
        import fcntl

        with suppress(OSError):  # a network's disk knows no such thing
            fcntl.fcntl(stream, fcntl.F_FULLFSYNC)
            return
    os.fsync(stream)


def sync_folder(folder: Path) -> None:
    """Put onto the disk which names a folder holds: files made, renamed and removed in it.

    Does nothing on Windows, where no folder can be synced.
    """
    if sys.platform == "win32":
        return
    stream = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(stream)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(stream)


def sync_files(files: Iterable[str | Path], *, within: Path) -> None:
    """Put many files in the folder `within` onto the disk, and all folders from there to them.

    Files are paths, or as text names in that folder. On Linux the whole file system is synced for
    more than `MANY`: once, not once a file.
    """
    files = list(files)
    if len(files) > MANY and _sync_file_system(within):
        return
    paths = [within / file if isinstance(file, str) else file for file in files]
    below = {at for path in paths for at in path.parents if at.is_relative_to(within)}
    for path in paths:
        _begin_writing(path)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(sync_file, paths))
        list(pool.map(sync_folder, below))


def _sync_file_system(folder: Path) -> bool:
    """Put all that is in memory of the file system of a folder onto the disk, if that is known."""
    if sys.platform != "linux":
        return False
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)  # Python has no call of it
    if syncfs is None:
        return False
    stream = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(stream):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(stream)
    return True


def sync_tree(folder: Path) -> None:
    """Put a folder onto the disk with all that is in it; links are not followed."""
    below = [(Path(at), names) for at, _, names in os.walk(folder)]
    files = (at / name for at, names in below for name in names)
    sync_files((path for path in files if _is_file(path)), within=folder)
    for at, names in below:
        if not names:
            sync_folder(at)


def make_folder(folder: Path, *, fsync: bool = False) -> None:
    """Make a folder, and those above it, where it is missing; with `fsync` they are on the disk."""
    missing = [at for at in (folder, *folder.parents) if not at.exists()] if fsync else []
    folder.mkdir(parents=True, exist_ok=True)
    for at in reversed(missing):
        sync_folder(at.parent)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _begin_writing(path: Path) -> None:
    """Have the disk begin, and do not wait."""
    if sys.platform == "linux":
        stream = os.open(path, os.O_RDONLY)
        with suppress(OSError):
            os.posix_fadvise(stream, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(stream)
