"""What dvc.yaml and lessons/dvc.yaml say of the stages, read without DVC."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.strict_yaml import load_yaml

SOURCE = Path(__file__).resolve().parents[2]  # of this code
GRAPHS = ("dvc.yaml", "lessons/dvc.yaml")


def read_stages() -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml and the lessons' by DVC's address, such as `lessons/dvc.yaml:digits`.

    Of the working folder's project, or, where there is none, of this code's. Raises `UserError` for
    a file that is no dvc.yaml.
    """
    root = Path() if Path(GRAPHS[0]).is_file() else SOURCE
    found: dict[str, dict[str, Any]] = {}
    for graph in GRAPHS:
        file = root / graph
        if not file.is_file():
            continue
        try:
            stages = load_yaml(file.read_text("utf-8"))["stages"]
            prefix = "" if graph == GRAPHS[0] else f"{graph}:"
            found |= {f"{prefix}{name}": dict(stage) for name, stage in stages.items()}
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{file} holds no stages that DVC could run: {error}") from error
    return found


def stage_that_makes(path: Path) -> str | None:
    """The DVC target of the stage whose outputs hold `path` of the working folder, or None."""
    path = Path(os.path.relpath(path))
    for target, stage in read_stages().items():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            folder = Path(out if isinstance(out, str) else next(iter(out)))
            if folder in (path, *path.parents):
                return target
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
