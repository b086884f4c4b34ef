"""What the tests of reading and writing share: a command that restores one file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lessonpipe.inference.batch import RestoreOptions, restore_file
from lessonpipe.inference.restorer import Restorer

RestoreFile = Callable[..., Path]


@pytest.fixture(scope="module")
def restorer(model: Path) -> Restorer:
    return Restorer(model, precision="fp32")


@pytest.fixture
def run(restorer: Restorer, tmp_path: Path) -> RestoreFile:
    """Restores `source` into a folder `out` under its name or `name`; options as keywords."""

    def restored(source: Path, name: str = "", **options: Any) -> Path:
        target = tmp_path / "out" / (name or source.name)
        restored.notes = restore_file(  # type: ignore[attr-defined]
            restorer,
            source,
            target,
            RestoreOptions(**options),
            lineage={"model": "small", "of": "x" * 200},
        )
        return target

    return restored
