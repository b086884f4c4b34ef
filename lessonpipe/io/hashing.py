"""SHA-256 of files and folders."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(paths: Iterable[Path], *, names: bool = True, suffix: str = "") -> str:
    """One SHA-256 of all that files and folders hold: bytes and, with `names`, paths.

    Of folders only files that end in `suffix` count. A folder with a `manifest.json`, which holds
    the hashes of its files, counts by that file alone.
    """
    digest = hashlib.sha256()
    for path in paths:
        if path.is_dir():
            manifest = path / "manifest.json"
            files = [manifest] if manifest.is_file() else sorted(path.rglob(f"*{suffix}"))
        else:
            files = [path]
        for file in filter(Path.is_file, files):
            if names:
                digest.update(f"{file.as_posix()}\0".encode())
            digest.update(bytes.fromhex(sha256_file(file)))
    return digest.hexdigest()
