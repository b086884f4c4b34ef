"""The stage evaluate: its page is of the recipe and of the params file that it was run with."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lessonpipe.data.manifest import Manifest
from lessonpipe.report.__main__ import main as report
from tasks.__main__ import main
from tests.conftest import ROOT
from tests.report.pairs import RECIPES, validation_pairs

STAGES = ("pretrain_generator", "fit_pixel")
HISTORY = "epoch,train_loss,valid_loss,valid_psnr,valid_accuracy\n1,1,1,20,0.9\n"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colour", "old-photo"])
def test_the_page_has_the_steps_of_the_recipe_their_metrics_and_its_own_params_file(
    name: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = validation_pairs(RECIPES[name], Path("data/photos"), Path("data/crappify"))
    for stage in STAGES:
        shutil.copytree(model, f"models/{stage}")
        Path(f"models/{stage}/history.csv").write_text(HISTORY)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({"a file": "of another run"}))
    params["precision"] = "fp32"
    params["download"]["folder"] = str(tmp_path / "mine")
    params["crappify"]["recipe"] = name
    params["evaluate"] |= {"encoder": "resnet18", "pretrained": False, "batch": 2, "grid_rows": 2}
    params["evaluate"]["high_resolution"] = [512, 640]
    params["evaluate"]["evaluations"] = [{"image_px": 64, "models": ["generator", "pixel"]}]
    Path("other.yaml").write_text(yaml.safe_dump(params))

    assert main(["evaluate", "--params", "other.yaml"]) == 0
    html = Path("reports/index.html").read_text()
    recipe = html[html.index("What was done to the photos") : html.index("All parameters")]
    assert all(
        (step if isinstance(step, str) else next(iter(step))) in recipe
        for step in Manifest.read(pairs).recipe
    )
    printed = html[html.index("All parameters") :]
    assert "grid_rows: 2" in printed and "of another run" not in printed
    assert "colourfulness" in html and "text removed" not in html
    line = capsys.readouterr().out
    assert ("damage removed" in html) == ("damage removed" in line) == (name == "old-photo")
    assert re.search(r"restored 512×640 in \d+\.\d s", line)
    assert report([]) == 0 and capsys.readouterr().out in line  # it tells the same

    if name == "colour":  # once more, elsewhere: the same bytes, whatever it took
        first = contents(Path("reports"))
        (tmp_path / "elsewhere").mkdir()
        for folder in ("data", "models", "other.yaml"):
            (tmp_path / "elsewhere" / folder).symlink_to(tmp_path / folder)
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert main(["evaluate", "--params", "other.yaml"]) == 0
        assert contents(Path("reports")) == first and len(first) == 4
        assert all(str(tmp_path).encode() not in content for content in first.values())
        assert (
            Path("live/evaluate/measured.json").read_bytes()
            != (tmp_path / "live/evaluate/measured.json").read_bytes()
        )
