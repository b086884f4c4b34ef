"""Downloads that resume, checked by their digest before use; archives unpacked safely."""

import errno
import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from lessonpipe.data import formats
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar


@dataclass(frozen=True)
class Archive:
    """A file at an address, and what its bytes must hash to, or what the hash begins with.

    `cure` is what somebody can do who has no network. Of large files fastai tells the `size` and
    the hash of the first `head` bytes alone.
    """

    url: str
    algorithm: str
    digest: str
    cure: str = "use `source: sample` or `source: folder`"
    size: int | None = None
    head: int | None = None

    def is_whole(self, path: Path) -> bool:
        """Whether the bytes at `path` are those meant."""
        right = self.size is None or path.stat().st_size == self.size
        return right and self.digest_of(path).startswith(self.digest)

    def digest_of(self, path: Path) -> str:
        """What the bytes at `path` hash to."""
        with open(path, "rb") as stream:
            if self.head is not None:
                return hashlib.new(self.algorithm, stream.read(self.head)).hexdigest()
            return hashlib.file_digest(stream, self.algorithm).hexdigest()


def fetch(archive: Archive, folder: Path, *, tries: int = 5, pause: float = 1.0) -> Path:
    """Download into `folder`, resuming a partial file, and check the digest.

    Each try that brings new bytes is free; after `tries` in a row that bring none, or when the
    whole file has the wrong digest twice, raises `UserError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / Path(archive.url).name
    if whole.is_file() and archive.is_whole(whole):
        return whole
    part = whole.with_name(whole.name + ".part")
    wrong = failed = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        reason = _download(archive.url, part)
        if reason is None:
            if archive.is_whole(part):
                os.replace(part, whole)
                return whole
            found, size = archive.digest_of(part), part.stat().st_size
            part.unlink()
            wrong += 1
            if wrong == 2:
                many = "" if archive.size is None else f"{size} of {archive.size} "
                raise UserError(
                    f"{archive.url} gave {many}bytes with {archive.algorithm} {found}, not "
                    f"{archive.digest}, twice; the file there is not the one meant, or something "
                    "on the way changes it"
                )
            continue
        grew = part.exists() and part.stat().st_size > before
        failed = 0 if grew else failed + 1
        if failed == tries:
            raise UserError(
                f"cannot fetch {archive.url} ({reason}); check the network and run again: what "
                f"has arrived is used. Without a network, {archive.cure}"
            )
        time.sleep(pause * 2**failed if failed else pause / 10)


def _download(url: str, part: Path) -> str | None:
    """Append what is missing to `part`; returns the reason if it broke off."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            resumed = response.status == 206
            left = response.headers.get("Content-Length")
            total = int(left) if left else None
            size = 0
            with open(part, "ab" if resumed else "wb") as stream:
                chunks = iter(lambda: response.read(1 << 20), b"")
                for chunk in progress_bar(
                    chunks, part.stem, total=total and -(-total >> 20), unit="MB"
                ):
                    stream.write(chunk)
                    size += len(chunk)
            if total is not None and size < total:
                return f"broke off after {size} of {total} bytes"
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to ask for
            return None
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
            raise  # the disk's fault, not the network's
        return str(getattr(error, "reason", error)).strip() or type(error).__name__
    return None


def unpack_pictures(archive: Path, out: Path, *, most_bytes: int = 20_000_000_000) -> int:
    """Unpack the picture files of a tar, flat, into `out`; returns how many.

    Links, devices and paths that lead outside are never followed: only the file's own name and
    bytes are used. Raises `UserError` for a broken archive, or one of more than `most_bytes`.
    """
    count = used = 0
    try:
        with tarfile.open(archive) as tar:
            for member in progress_bar(tar, "unpack", unit="file"):
                name = Path(member.name).name
                if not member.isfile() or name.startswith("."):
                    continue
                if Path(name).suffix.lower() not in formats.suffixes():
                    continue
                used += member.size
                if used > most_bytes:
                    raise UserError(f"{archive.name} unpacks to more than {most_bytes} bytes")
                stream = tar.extractfile(member)
                assert stream is not None
                with stream, open(out / name, "wb") as target:
                    shutil.copyfileobj(stream, target)
                count += 1
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive.name} is not a whole tar archive ({error})") from error
    return count
