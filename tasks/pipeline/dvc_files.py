"""What dvc.yaml and lessons/dvc.yaml say of the stages, read without DVC."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from lessonpipe.errors import MissingError

_SOURCE = Path(__file__).resolve().parents[2]
# of dvc.yaml and the code that it names: this code's own, or where it is installed the project's
ROOT = _SOURCE if (_SOURCE / "dvc.yaml").is_file() else Path()
FILES = {"": ROOT / "dvc.yaml", "lessons/dvc.yaml:": ROOT / "lessons/dvc.yaml"}  # by target prefix


def stage_that_makes(path: Path) -> str | None:
    """The DVC target of the stage whose outputs hold `path` of the working folder, or None."""
    path = Path(os.path.relpath(path))
    for prefix, file in FILES.items():
        if not file.is_file():
            continue
        for name, stage in yaml.safe_load(file.read_text("utf-8"))["stages"].items():
            for out in [*stage["outs"], *stage.get("metrics", [])]:
                folder = Path(out if isinstance(out, str) else next(iter(out)))
                if folder in (path, *path.parents):
                    return f"{prefix}{name}"
    return None


@contextmanager
def with_cure() -> Iterator[None]:
    """Make a `MissingError` that is raised in the block say which stage to run first."""
    try:
        yield
    except MissingError as error:
        target = stage_that_makes(error.path)
        if target is None:
            raise
        raise MissingError(f"{error}; run `dvc repro {target}` first", error.path) from error
