"""The text as two files of words, as the lesson has it: train.txt and valid.txt."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import atomic_write
from lessons.numbers.words import COMMA, IDS, LARGEST, SPECIAL, START, text


@dataclass(frozen=True)
class Corpus:
    """Both sides of the text, as numbers of words."""

    train: Tensor
    valid: Tensor

    @property
    def seen(self) -> int:
        """The last number that is read."""
        return int((self.train == IDS[COMMA]).sum()) + 1


def made(until: int, last: int = LARGEST) -> dict[str, list[str]]:
    """The words of one...until, and of what comes after it."""
    return {"train": text(range(1, until + 1)), "valid": text(range(until + 1, last + 1))}


def save(sides: dict[str, list[str]], folder: Path) -> None:
    """Write the two files."""
    for side, words in sides.items():
        atomic_write(folder / f"{side}.txt", " ".join(words) + "\n")


def load(folder: Path) -> Corpus:
    """Read them again. Raises `MissingError` when they are not there."""
    return Corpus(*(_read(folder / f"{side}.txt") for side in ("train", "valid")))


def _read(file: Path) -> Tensor:
    if not file.is_file():
        raise MissingError(f"{file} is not there", file)
    return as_ids(file.read_text("utf-8").split())


def as_ids(words: list[str]) -> Tensor:
    """Words as their numbers. Raises `UserError` that names the known ones."""
    known = [word for word in IDS if word not in SPECIAL]
    if unknown := [word for word in words if word not in (START, *known)]:
        raise UserError(f"no word here is {unknown[0]!r}; the known ones are: {' '.join(known)}")
    return torch.tensor([IDS[word] for word in words])
