"""Each recipe's short run becomes a section with its measures and its grid, once."""

from pathlib import Path

import pytest
import yaml

from flows.experiments import recipe_gallery
from lessonpipe.errors import UserError
from tests.conftest import ROOT

STAGE = """
import json, yaml
from pathlib import Path
from PIL import Image
p = yaml.safe_load(Path("params.yaml").read_text())
gain = p["crappify"]["tiles"]["train"] + len(p["crappify"]["recipe"]) / 100
v = {"mean": gain, "median": gain, "low": 0, "high": 9}
model = {m: v for m in ("psnr_gain", "perceptual", "sharpness", "ab_error", "colourfulness")}
Path("reports/metrics.json").write_text(json.dumps({"128": {"crappy": model, "gan": model}}))
Image.new("RGB", (8, 8)).save("reports/grid.jpg")
"""
PARAMS = """
crappify: {recipe: jpeg, tiles: {train: 1, valid: 1}}
recipes: {jpeg: [jpeg], colour: [grey]}
"""
SHORT = "crappify: {tiles: {train: 2}}\n"


@pytest.mark.slow
def test_a_recipe_is_tried_once_and_shown_with_its_measures(dvc_project, capsys):
    stage = {
        "cmd": "python stage.py",
        "params": ["crappify", "recipes"],
        "outs": ["reports/grid.jpg"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    }
    dvc_project(
        {
            "stage.py": STAGE,
            "params.yaml": PARAMS,
            "profiles/short.yaml": SHORT,
            "dvc.yaml": yaml.safe_dump({"stages": {"evaluate": stage}}),
        }
    )
    recipe_gallery.show(["colour"])
    page = recipe_gallery.PAGE.read_text()
    assert "## colour\n\n`[grey]`\n\ngan at 128: +2.06 dB" in page and "## jpeg" not in page
    assert "| 128 | gan | +2.06 (+0.00…+9.00) | 2.060 | 2.06 |" in page
    assert (recipe_gallery.GRIDS / "colour.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert Path("params.yaml").read_text() == PARAMS  # the workspace is left alone

    recipe_gallery.show([])
    assert "1 experiments" in capsys.readouterr().out  # the other alone
    page = recipe_gallery.PAGE.read_text()
    assert "## jpeg\n\n`[jpeg]`\n\ngan at 128: +2.04 dB" in page and "## colour" in page


def test_a_wrong_recipe_lists_the_right_ones(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="old-photo"):
        recipe_gallery.show(["sepia"])
