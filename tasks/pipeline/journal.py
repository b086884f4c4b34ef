"""The draft of crappify's output folder, with a journal of the photos that are done."""

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.io.atomic import naming, replace_folder
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal
from lessonpipe.io.sync import make_folder, sync_files

JOURNAL = "done.jsonl"
SYNC_SHARE = 0.05  # of the time goes into syncing: a slow disk gets more photos at once,
MOST_SECONDS = 5.0  # of which a kill undoes so much work


@dataclass(frozen=True)
class DonePhoto:
    """A row of the journal: a photo, its digest, and its pairs or why it has none."""

    photo: str
    sha256: str
    pairs: list[Pair]
    error: str | None
    enlarged: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Its fields by name, the pairs' too."""
        return {**vars(self), "pairs": [pair.as_dict() for pair in self.pairs]}


_ROW = TypeAdapter(DonePhoto)


@dataclass
class PairsDraft:
    """The draft of the output folder; a photo is in its journal when its files are on the disk."""

    folder: Path
    _waiting: list[DonePhoto] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)
    _pause: float = 0.0

    @classmethod
    def find(cls, out: Path, key: str) -> "PairsDraft":
        """The draft of the run with this `key`, new or existing; drafts of others are removed.

        It gets a new name each time: workers of a run that was killed lose it, and write no more.
        """
        folder = out.with_name(f".{out.name}-{key}-{secrets.token_hex(4)}.draft")
        for other in sorted(out.parent.glob(f".{out.name}-*.draft")):
            mine = other.name.startswith(f".{out.name}-{key}-") and (other / JOURNAL).is_file()
            if mine and not folder.exists():
                other.rename(folder)
            else:
                shutil.rmtree(other, ignore_errors=True)
        make_folder(folder, fsync=True)
        return cls(folder)

    @property
    def journal(self) -> Journal:
        """The rows of `DonePhoto`."""
        return Journal(self.folder / JOURNAL)

    def done(self, photos: Path, splits: Mapping[str, Split]) -> dict[str, DonePhoto]:
        """The photos that are done and have changed neither content nor split, by name.

        Removes all other files, also those that were no photo's in the journal when a run ended.
        """
        valid: dict[str, DonePhoto] = {}
        for done in filter(None, map(_parse, self.journal.read())):
            if (
                done.photo in splits
                and all(pair.split == splits[done.photo] for pair in done.pairs)
                and all((self.folder / name).is_file() for name in _files(done))
                and done.sha256 == sha256_file(photos / done.photo)
            ):
                valid[done.photo] = done
        kept = {name for done in valid.values() for name in _files(done)} | {self.journal.path.name}
        for at, _, names in os.walk(self.folder):
            for path in (Path(at, name) for name in names):
                if path.relative_to(self.folder).as_posix() not in kept:
                    path.unlink()
        return valid

    def add(self, result: PhotoPairs) -> DonePhoto:
        """Write those of a photo's files that no worker has written.

        Its row follows with those of others, when all are on the disk.
        """
        write_files(self.folder, result.files)
        done = DonePhoto(result.photo, result.sha256, result.pairs, result.error, result.enlarged)
        self._waiting.append(done)
        if time.monotonic() - self._since > self._pause:
            self.commit()
        return done

    def commit(self) -> None:
        """Put the files that were added onto the disk, and then their photos' rows."""
        if not self._waiting:
            return
        start = time.monotonic()
        files = {name for done in self._waiting for name in _files(done)}
        sync_files(files, within=self.folder)
        self.journal.extend((done.as_dict() for done in self._waiting), fsync=True)
        self._waiting.clear()
        self._since = time.monotonic()
        self._pause = min(MOST_SECONDS, (self._since - start) / SYNC_SHARE)

    def publish(self, out: Path) -> None:
        """Replace the folder `out` by the draft, without its journal; it outlives a power cut."""
        self.journal.path.unlink(missing_ok=True)
        sync_files((path for path in self.folder.iterdir() if path.is_file()), within=self.folder)
        replace_folder(self.folder, out, fsync=True)

    def discard(self) -> None:
        """Remove the draft."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their name in the folder. Raises `OSError`, too where the folder is gone."""
    folder.stat()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            path.write_bytes(content)


def _files(done: DonePhoto) -> list[str]:
    return [name for pair in done.pairs for name in (pair.good, pair.crappy)]


def _parse(row: dict[str, Any]) -> DonePhoto | None:
    try:
        return _ROW.validate_python(row)
    except ValidationError:  # of a line that something damaged
        return None
