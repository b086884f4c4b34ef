"""Atomic writes: a file or folder is complete or absent, whenever the process is killed."""

import json
import os
import platform
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

MAX_NAME_BYTES = 255  # that most disks take


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """A draft folder that replaces `out` when the block ends without an error, else is removed.

    For one process at a time: the draft of an earlier, killed one is removed first.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        if out.exists():
            shutil.rmtree(out)
        os.replace(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A draft that replaces the file `path` when the block ends without an error, else is removed.

    Processes and threads may write the same file at the same time: each has its own draft, and the
    last to end wins. Drafts that killed processes left in the folder are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead_drafts(path.parent.absolute(), os.getpid())
    suffix = f".{_namespace()}-{os.getpid()}-{threading.get_native_id()}.draft"
    name = os.fsencode(path.name)[: MAX_NAME_BYTES - 1 - len(suffix)].decode(errors="ignore")
    draft = path.with_name(f".{name}{suffix}")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes | memoryview, *, fsync: bool = False) -> None:
    """Write a file atomically; with `fsync` it is on the disk even if the power fails then."""
    with atomic_file(path) as draft, open(draft, "wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        if fsync:
            stream.flush()
            os.fsync(stream.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `ValueError` when it is not JSON."""
    return json.loads(Path(path).read_text())


@cache
def _namespace() -> str:
    """The machine and its container: a process id says nothing of processes outside them."""
    container = Path("/proc/self/ns/pid")
    inode = container.stat().st_ino if container.exists() else 0
    return f"{platform.node().partition('.')[0][:40]}-{inode}"


@cache  # once per folder and process: a folder of many files is not listed at every write
def _remove_dead_drafts(folder: Path, _process: int) -> None:
    import psutil

    owned = re.compile(rf"\..*\.{re.escape(_namespace())}-(\d+)-\d+\.draft", re.DOTALL)
    for entry in os.scandir(folder):
        match = owned.fullmatch(entry.name)
        if match and not psutil.pid_exists(int(match[1])):
            Path(entry).unlink(missing_ok=True)
