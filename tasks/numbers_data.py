"""The numbers in words, one after the other: -> data/numbers.

python -m tasks numbers_data
"""

from pathlib import Path

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.io.atomic import atomic_folder
from lessons.numbers import data, words


class Params(StrictModel):
    """One ... `train_until` is read; what comes after is for validation."""

    train_until: int = Field(ge=1, lt=words.LARGEST)


def run(p: Params, out: Path = Path("data/numbers")) -> None:
    """Write two files."""
    sides = data.made(p.train_until)
    with atomic_folder(out, fsync=True) as draft:
        data.save(sides, draft)
    print(f"{len(sides['train'])} words to learn from, {len(sides['valid'])} to test, in {out}")
