"""Files that are whole or not there: written under a temporary name, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well, and vanishes otherwise.

    What an earlier, killed run left behind is removed first.
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
    """A temporary name that becomes `path` when the block ends well, and vanishes otherwise.

    It is the same each time, so what a killed run left behind is written over by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    short = os.fsencode(path.name)[:240].decode(errors="ignore")  # a disk takes 255 bytes
    draft = path.with_name(f".{short}.draft")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    with atomic_file(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; one that was half written by a killed process stays by itself."""
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(f"{line}\n".encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read, whole."""
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text())


def fingerprint(places: Iterable[Path], *, names: bool = True, suffix: str = "") -> str:
    """The sha256 of what lies in files and folders: bytes and, if need be, `names`.

    Of folders, files that end in `suffix` alone.

    A folder with a `manifest.json`, which holds the hashes of its files, is taken by that alone.
    """
    digest = hashlib.sha256()
    for place in places:
        if place.is_dir():
            manifest = place / "manifest.json"
            files = [manifest] if manifest.is_file() else sorted(place.rglob(f"*{suffix}"))
        else:
            files = [place]
        for file in files:
            if file.is_file():
                if names:
                    digest.update(f"{file.as_posix()}\0".encode())
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
