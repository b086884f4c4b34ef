"""The walk through docs/your-own-damage.md, walked: its code and params, by the real stage."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lessonpipe.data.manifest import Manifest
from tests.conftest import ROOT

PAGE = (ROOT / "docs/your-own-damage.md").read_text()
BLOCKS = re.findall(r"```(python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
Door = Callable[..., subprocess.CompletedProcess[str]]


def recipes() -> dict[str, list]:
    """The recipes of the page, each by its name."""
    made: dict[str, list] = {}
    for kind, _, text in BLOCKS:
        if kind == "yaml":
            made |= yaml.safe_load(text)["recipes"]
    return made


@pytest.fixture
def project(tmp_path: Path, photos: Callable[..., Path]) -> Path:
    """A folder with three photos, and with what the page tells to write."""
    photos(3, width=120, height=90, folder="data/photos")
    code = [text for kind, file, text in BLOCKS if (kind, file) == ("python", "my_steps.py")]
    (tmp_path / "my_steps.py").write_text("\n\n".join(code))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["recipes"] |= recipes()
    params["crappify"] |= {"group_pattern": None, "tiles": {"tile_px": 64, "train": 2, "valid": 1}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return tmp_path


def test_the_page_has_a_step_and_a_recipe_of_each_kind() -> None:
    assert [(kind, file) for kind, file, _ in BLOCKS] == [
        ("python", "my_steps.py"),
        ("yaml", "params.yaml"),
    ] * 2
    assert list(recipes()) == ["rainy", "coffee"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rainy", "coffee"])
def test_the_walk_through_a_step_of_ones_own_works(name: str, project: Path, door: Door) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("recipe: lesson", f"recipe: {name}"))
    done = door("tasks", "crappify", LESSONPIPE_WORKERS="2")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.read(project / "data/crappify")
    assert manifest.recipe == recipes()[name] and len(manifest.pairs) == 5
    for pair in manifest.pairs:
        crappy, good = (
            np.asarray(Image.open(project / "data/crappify" / file)).astype(int)
            for file in (pair.crappy, pair.good)
        )
        assert crappy.shape == good.shape and np.abs(crappy - good).max() > 30


def test_what_was_written_can_be_looked_at(project: Path, door: Door) -> None:
    words = ["data/photos/a0.jpg", "-o", "look", "--recipe", "rainy"]
    done = door("lessonpipe.app.cli", "crappify", *words)
    assert done.returncode == 0 and (project / "look/a0.jpg").is_file(), done.stderr
