"""Atomic writes: a file or folder is complete or absent, whenever the process is killed.

With `fsync` that holds when the power fails, too: what is there when a call returns stays there.
"""

import errno
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from lessonpipe.errors import UserError
from lessonpipe.io.sync import make_folder, sync_file, sync_folder, sync_tree

MAX_NAME_BYTES = 255  # that most disks take
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
FOREIGN_SECONDS = 7 * 24 * 3600  # a draft of another machine's is taken for dead after
_own: set[str] = set()  # names of this process's drafts: others by its id are of a dead namesake


@contextmanager
def atomic_folder(out: Path, *, fsync: bool = False) -> Iterator[Path]:
    """A draft folder that replaces `out` when the block ends without an error, else is removed.

    Processes may write the same folder at the same time: each has its own draft, and the last to
    end wins. The old folder is moved aside before the new one gets its name: a process that is
    killed in between loses neither, and the next one to write there puts the old one back. With
    `fsync` the new one outlives a power cut. Raises `UserError` if `out` is a file.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, and a folder is to be there; move it away")
    make_folder(out.parent, fsync=fsync)
    _remove_dead_drafts(out.parent)
    with naming(out), _own_name(out, ".draft") as draft:
        draft.mkdir()
        try:
            yield draft
            if fsync:
                sync_tree(draft)
            replace_folder(draft, out, fsync=fsync)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def atomic_file(path: Path, *, fsync: bool = False) -> Iterator[Path]:
    """A draft that replaces the file `path` when the block ends without an error, else is removed.

    The draft is an empty file with a name that nobody can guess, and no link. Processes and threads
    may write the same file at the same time: each has its own draft, and the last to end wins.
    Drafts that killed processes left in the folder are removed. With `fsync` the file outlives a
    power cut.
    """
    make_folder(path.parent, fsync=fsync)
    _remove_dead_drafts_once(path.parent.absolute(), os.getpid())
    with naming(path), _own_name(path, ".draft") as draft:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            yield draft
            if fsync:
                sync_file(draft)
            os.replace(draft, path)
            if fsync:
                sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes | memoryview, *, fsync: bool = False) -> None:
    """Write a file atomically; with `fsync` it is on the disk even if the power fails then."""
    with atomic_file(path, fsync=fsync) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors of the disk say which file or folder was written, where they say nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS and error.filename is None:
            error.filename = str(path)
        raise


def atomic_link(path: Path, target: Path, *, fsync: bool = False) -> None:
    """Have `path` link to the folder `target` at once; with `fsync` that outlives a power cut."""
    with _own_name(path, ".draft") as draft:
        draft.symlink_to(target, target_is_directory=True)
        try:
            os.replace(draft, path)
            if fsync:
                sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def replace_folder(draft: Path, out: Path, *, fsync: bool = False) -> None:
    """Give a draft folder beside `out` that name, and remove what had it; the last to do so wins.

    With `fsync` the name outlives a power cut; what is in the draft has to be on the disk before.
    """
    for _ in range(100):
        if _renamed(draft, out, fsync):
            return
        with _own_name(out, ".old") as aside:
            aside.mkdir()
            try:
                with suppress(FileNotFoundError):  # another process moved it aside
                    os.rename(out, aside / out.name)
                if _renamed(draft, out, fsync):
                    return
            finally:
                _put_back(aside, out)
    raise OSError(errno.EBUSY, "others write it all the time", str(out))


def write_json(path: Path, value: Any, *, fsync: bool = False) -> None:
    """Write indented JSON atomically; with `fsync` it outlives a power cut."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", fsync=fsync)


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `ValueError` when it is not JSON."""
    return json.loads(Path(path).read_text())


def _renamed(draft: Path, out: Path, fsync: bool) -> bool:
    """Whether a draft folder got the name, which nothing or an empty folder had."""
    try:
        os.rename(draft, out)
    except OSError:
        if not os.path.lexists(out) or not draft.is_dir():
            raise
        return False
    if fsync:
        sync_folder(out.parent)
    return True


def _put_back(aside: Path, out: Path) -> None:
    """Remove what was moved aside, or give it its name again where nothing has that."""
    if not os.path.lexists(out):
        with suppress(OSError):
            os.rename(aside / out.name, out)
    old = aside / out.name
    if old.is_symlink():
        old.unlink()
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _own_name(path: Path, suffix: str) -> Iterator[Path]:
    """A hidden name beside `path` that says whose it is, and that nobody else has or can guess."""
    suffix = f".{_namespace()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"
    name = os.fsencode(path.name)[: MAX_NAME_BYTES - 1 - len(suffix)].decode(errors="ignore")
    own = path.with_name(f".{name}{suffix}")
    _own.add(own.name)
    try:
        yield own
    finally:
        _own.discard(own.name)


@cache
def _namespace() -> str:
    """The machine and its container: a process id says nothing of processes outside them."""
    container = Path("/proc/self/ns/pid")
    inode = container.stat().st_ino if container.exists() else 0
    return f"{platform.node().partition('.')[0][:40]}-{inode}"


@cache  # once per folder and process: a folder of many files is not listed at every write
def _remove_dead_drafts_once(folder: Path, _process: int) -> None:
    _remove_dead_drafts(folder)


def _remove_dead_drafts(folder: Path) -> None:
    named = re.compile(r"\..*\.([^.]*-\d+)-(\d{1,9})-[0-9a-f]+\.(draft|old)", re.DOTALL)
    with suppress(OSError):  # a folder that cannot be listed can be written
        for entry in list(os.scandir(folder)):
            match = named.fullmatch(entry.name)
            if not match or entry.name in _own:
                continue
            with suppress(OSError):  # another's, or removed in between
                if _is_dead(entry, match[1], int(match[2])):
                    _remove(Path(entry), match[3])


def _is_dead(entry: "os.DirEntry[str]", namespace: str, process: int) -> bool:
    import psutil

    if namespace == _namespace():
        return process == os.getpid() or not psutil.pid_exists(process)
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_SECONDS


def _remove(dead: Path, kind: str) -> None:
    if dead.is_symlink() or not dead.is_dir():
        dead.unlink()
    elif kind == "old":
        for old in list(dead.iterdir()):
            _put_back(dead, dead.with_name(old.name))
        shutil.rmtree(dead, ignore_errors=True)
    else:
        shutil.rmtree(dead)
