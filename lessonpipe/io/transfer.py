"""Files and folders as one piece of bytes, to travel between machines that share no disk."""

import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

KEPT_SECONDS = 24 * 3600  # unpacked parcels that nobody used for so long are removed


def pack(places: Mapping[str, Path]) -> bytes:
    """A tar, not compressed, of files and folders under the names they are given."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, place in sorted(places.items()):
            tar.add(place, arcname=name)
    return stream.getvalue()


def unpack(parcel: bytes, folder: Path) -> None:
    """What was packed, below `folder`; nothing in it can get out of there."""
    with tarfile.open(fileobj=io.BytesIO(parcel)) as tar:
        tar.extractall(folder, filter="data")


def unpack_once(key: str, fetch: Callable[[], bytes]) -> Path:
    """The folder where the parcel called `key` is unpacked on this machine, once for all workers.

    `fetch` is asked for it by the first. Whoever opens another removes what is old.
    """
    home = Path(tempfile.gettempdir()) / f"lessonpipe-{os.getuid()}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = home / key
    with FileLock(home / f"{key}.lock"):
        if folder.is_dir():
            os.utime(folder)
            return folder
        for old in home.iterdir():
            if old.is_dir() and time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        draft = home / f".{key}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        unpack(fetch(), draft)
        os.replace(draft, folder)
        os.utime(folder)
    return folder
