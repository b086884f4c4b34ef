"""The code and the params of docs/your-own-damage.md work, by the real stage."""

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
    """The recipes of the page by name."""
    found: dict[str, list] = {}
    for kind, _, text in BLOCKS:
        if kind == "yaml":
            found |= yaml.safe_load(text)["recipes"]
    return found


@pytest.fixture
def project(tmp_path: Path, photos: Callable[..., Path]) -> Path:
    """A folder with three photos, and the files of the page."""
    photos(3, width=120, height=90, folder="data/photos")
    code = [text for kind, file, text in BLOCKS if (kind, file) == ("python", "my_steps.py")]
    (tmp_path / "my_steps.py").write_text("\n\n".join(code))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["recipes"] |= recipes()
    tiles = {"tile_px": 64, "train": 2, "valid": 1}
    params["crappify"] |= {"group_pattern": None, "undamaged_share": 0, "tiles": tiles}
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
def test_a_step_of_ones_own_makes_pairs(name: str, project: Path, door: Door) -> None:
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


def test_the_command_shows_what_a_recipe_does(project: Path, door: Door) -> None:
    args = ["data/photos/a0.jpg", "-o", "look", "--recipe", "rainy"]
    done = door("lessonpipe.app.cli", "crappify", *args)
    assert done.returncode == 0 and (project / "look/a0.jpg").is_file(), done.stderr
