"""The draft of crappify's output folder, with a journal of the photos that are done."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal


@dataclass(frozen=True)
class DonePhoto:
    """A row of the journal: a photo, its digest, and its pairs or why it has none."""

    photo: str
    sha256: str
    pairs: list[Pair]
    error: str | None
    enlarged: bool = False


@dataclass(frozen=True)
class PairsDraft:
    """The draft of the output folder; a photo is in its journal when its files are complete."""

    folder: Path

    @classmethod
    def find(cls, out: Path, key: str) -> "PairsDraft":
        """The draft of the run with this `key`, new or existing; drafts of others are removed."""
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_name(f".{out.name}-{key}.draft")
        for other in out.parent.glob(f".{out.name}*.draft"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        return cls(folder)

    @property
    def journal(self) -> Journal:
        """The rows of `DonePhoto`."""
        return Journal(self.folder / "done.jsonl")

    def done(self, photos: Path, splits: Mapping[str, Split]) -> dict[str, DonePhoto]:
        """The photos that are done and have changed neither content nor split, by name.

        Removes the files of the others.
        """
        valid: dict[str, DonePhoto] = {}
        for row in self.journal.read():
            done = DonePhoto(**{**row, "pairs": [Pair(**pair) for pair in row["pairs"]]})
            same_split = all(pair.split == splits.get(done.photo) for pair in done.pairs)
            if (
                done.photo in splits
                and same_split
                and done.sha256 == sha256_file(photos / done.photo)
            ):
                valid[done.photo] = done
            else:
                for pair in done.pairs:
                    (self.folder / pair.good).unlink(missing_ok=True)
                    (self.folder / pair.crappy).unlink(missing_ok=True)
        return valid

    def add(self, result: PhotoPairs) -> DonePhoto:
        """Write a photo's files, and then its row."""
        for name, content in result.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done = DonePhoto(result.photo, result.sha256, result.pairs, result.error, result.enlarged)
        self.journal.append(asdict(done))
        return done

    def publish(self, out: Path) -> None:
        """Replace the folder `out` by the draft, without its journal."""
        self.journal.path.unlink(missing_ok=True)
        if out.exists():
            shutil.rmtree(out)
        os.replace(self.folder, out)

    def discard(self) -> None:
        """Remove the draft."""
        shutil.rmtree(self.folder, ignore_errors=True)
