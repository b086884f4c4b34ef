"""What folders hold: pictures, what is left aside, told by kind, and files of the same bytes."""

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from lessonpipe.data.formats import is_picture
from lessonpipe.io.hashing import sha256_file

SYSTEM_FILES = {"desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db"}  # lower case; nobody's own
SIDECARS = {".aae", ".json", ".md", ".txt", ".xmp"}  # words about pictures, taken for no picture
NOT_UTF8 = "the name is not UTF-8; rename it"


@dataclass(frozen=True)
class Found:
    """The pictures of a folder and the other files that a person may have meant, both sorted."""

    pictures: list[Path]
    others: list[Path]

    @property
    def left_aside(self) -> Counter[str]:
        """How many `others` there are of each suffix, in lower case: `{".mov": 12, ".cr2": 3}`."""
        return Counter(map(kind_of, self.others))


def list_folder(folder: Path) -> Found:
    """What is in a folder and its subfolders, hidden ones excepted.

    Linked folders are followed, each real folder once, under its own name if it has one here. A
    link to a folder above `folder`, and a folder that cannot be read, are among the others; the
    files of operating systems and sidecars (`SYSTEM_FILES`, `SIDECARS`) are not.
    """
    pictures, others = [], []
    for path in _walk(folder):
        if is_picture(path):
            pictures.append(path)
        elif path.name.lower() not in SYSTEM_FILES and path.suffix.lower() not in SIDECARS:
            others.append(path)
    by_parts = attrgetter("parts")  # the order of paths, whose own comparisons parse them each time
    return Found(sorted(pictures, key=by_parts), sorted(others, key=by_parts))


def kind_of(path: Path) -> str:
    """The suffix of a file in lower case, or in brackets what it is instead."""
    if not os.path.exists(path):
        return "(broken link)"
    if os.path.isdir(path):
        readable = os.access(path, os.R_OK | os.X_OK)
        return "(link to a folder above)" if readable else "(unreadable folder)"
    if not os.path.isfile(path):
        return "(no plain file)"
    suffix = path.suffix.lower()
    return suffix if re.fullmatch(r"\.\w{1,12}", suffix) else "(no suffix)"


def format_left_aside(counts: Mapping[str, int]) -> str:
    """Counts by suffix as words, the most frequent first: "12 .mov, 3 .cr2"."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix}" for suffix, count in order)


def find_copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """The files whose bytes an earlier one of `paths` has, each with that one.

    By SHA-256, of files of equal sizes alone; empty and unreadable ones are nobody's copies.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        with suppress(OSError):
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
                by_size[status.st_size].append(path)
    by_size.pop(0, None)
    copies: dict[Path, Path] = {}
    for same_size in by_size.values():
        firsts: dict[str, Path] = {}
        for path in same_size if len(same_size) > 1 else ():
            first = firsts.setdefault(sha256_file(path), path)
            if first is not path:
                copies[path] = first
    return copies


def is_utf8(name: str) -> bool:
    """Whether a file's name is text: others hold surrogates in the place of their bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every file that is not hidden, and the folders that are not entered."""
    above = {_identity(parent) for parent in folder.resolve().parents}
    seen: set[tuple[int, int]] = set()
    folders: list[Path] = [folder]
    links: list[Path] = []  # entered when the folders are done, in the order of their names
    while folders or links:
        linked = not folders
        current = min(links) if linked else folders.pop()
        if linked:
            links.remove(current)
        try:
            identity = _identity(current)
            if linked and identity in above:
                yield current
                continue
            if identity in seen:
                continue
            seen.add(identity)
            entries = [entry for entry in os.scandir(current) if not entry.name.startswith(".")]
        except OSError:
            yield current
            continue
        for entry in entries:
            path = Path(entry)
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif entry.is_symlink() and os.path.isdir(path):
                links.append(path)
            else:
                yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
