"""Which photos crappify has done, on the disk: a killed run goes on with the others."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal as JsonLines

JOURNAL = "done.jsonl"


@dataclass(frozen=True)
class DonePhoto:
    """One photo's line in the journal: what it was made of, and what was made of it."""

    photo: str
    sha256: str
    pairs: list[Pair]
    error: str | None


@dataclass(frozen=True)
class Journal:
    """A draft of the output folder, with a journal. A photo is in it when its files are whole."""

    folder: Path

    @classmethod
    def find(cls, out: Path, key: str) -> "Journal":
        """The draft of a run of this `key`; drafts of others are removed."""
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_name(f".{out.name}-{key}.draft")
        for other in out.parent.glob(f".{out.name}*.draft"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        return cls(folder)

    def still_right(self, photos: Path, splits: Mapping[str, Split]) -> dict[str, DonePhoto]:
        """What was done before and holds: the photo is the same and in the same split.

        The files of what does not hold are removed.
        """
        right: dict[str, DonePhoto] = {}
        for row in JsonLines(self.folder / JOURNAL).read():
            done = DonePhoto(**{**row, "pairs": [Pair(**pair) for pair in row["pairs"]]})
            same = all(pair.split == splits.get(done.photo) for pair in done.pairs)
            if done.photo in splits and same and done.sha256 == sha256_file(photos / done.photo):
                right[done.photo] = done
            else:
                for pair in done.pairs:
                    (self.folder / pair.good).unlink(missing_ok=True)
                    (self.folder / pair.crappy).unlink(missing_ok=True)
        return right

    def add(self, made: PhotoPairs) -> DonePhoto:
        """Write a photo's files, and then its line."""
        for name, content in made.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done = DonePhoto(made.photo, made.sha256, made.pairs, made.error)
        JsonLines(self.folder / JOURNAL).append(asdict(done))
        return done

    def become(self, out: Path) -> None:
        """The draft is whole: it takes the place of `out`."""
        (self.folder / JOURNAL).unlink(missing_ok=True)
        if out.exists():
            shutil.rmtree(out)
        os.replace(self.folder, out)

    def drop(self) -> None:
        """Nothing is left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
