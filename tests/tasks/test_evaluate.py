"""Measuring models on real pairs: a network that does nothing gains nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.device import Worker
from lessonpipe.report.page import Grid, table
from lessonpipe.report.scores import Scores, headline
from tasks import evaluate
from tests.conftest import ROOT, make_picture, saved_pairs

STEPS: Steps = [{"resize": {"shorter": 32}}, "text", "jpeg"]
PARAMS = evaluate.Params(
    seed=1,
    precision="fp32",
    at=[],
    batch=2,
    encoder="none",
    pretrained=False,
    grid_rows=2,
    beside=[],
)


class Eyes(nn.Module):
    def forward(self, made: Tensor, good: Tensor) -> Tensor:
        return (made - good).abs().flatten(1).mean(1)


Made = tuple[Manifest, Path]
RECIPES = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[[Steps], Made]:
    """Makes tiles of three photos, spoilt by a recipe, all on the validation side."""

    def make(steps: Steps) -> Made:
        made = []
        recipe = Recipe(steps)
        for i in range(3):
            make_picture(90, 70, seed=i).save(tmp_path / f"{i}.jpg")
            made += saved_pairs(
                tmp_path / f"{i}.jpg",
                split="valid",
                group_pattern=None,
                tile_px=64,
                count=2,
                recipe=recipe,
                out=tmp_path / "pairs",
            ).pairs
        return Manifest(steps, recipe.quality, recipe.seed, made), tmp_path / "pairs"

    return make


def measured(made: Made) -> tuple[dict[str, Scores], Grid]:
    """Scores of the crappy pictures and of a network that does nothing."""
    worker = Worker(torch.device("cpu"), torch.float32)
    return evaluate.measure({"same": nn.Identity()}, *made, 64, PARAMS, worker, Eyes())


def test_a_network_that_does_nothing_gains_nothing(spoilt: Callable[[Steps], Made]) -> None:
    manifest, folder = made = spoilt(STEPS)
    scores, grid = measured(made)
    same, crappy = (scores[name].summary(seed=0) for name in ("same", "crappy"))
    assert same["psnr_gain"]["mean"] == pytest.approx(0)
    assert same["text_removed"]["mean"] == pytest.approx(0)
    assert same["psnr"] == crappy["psnr"]
    assert 0.3 < same["text_ceiling"]["mean"] <= 1  # without its text the picture is much nearer
    assert "text_ceiling" not in crappy
    theirs = []
    for pair in manifest.pairs:
        x, y = (center_square(open_photo(folder / name), 64) for name in (pair.crappy, pair.good))
        theirs.append(peak_signal_noise_ratio(np.asarray(y), np.asarray(x)))
    assert crappy["psnr"]["mean"] == pytest.approx(np.mean(theirs), abs=1e-3)
    assert grid.titles == ["crappy", "same", "photo"]
    assert len(grid.rows) == 2 and all(len(row) == 3 for row in grid.rows)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_measures_a_row_and_a_headline(
    name: str, spoilt: Callable[[Steps], Made]
) -> None:
    scores, grid = measured(spoilt(RECIPES[name]))
    same, crappy = (scores[model].summary(seed=0) for model in ("same", "crappy"))
    always = {"psnr", "psnr_gain", "ssim", "perceptual", "sharpness", "colourfulness", "ab_error"}
    kind = {"lesson": "text", "old-photo": "damage", "watermark": "damage", "inpaint": "damage"}
    more = {f"{kind[name]}_removed", f"{kind[name]}_ceiling"} if name in kind else set()
    assert set(same) == always | more
    line = headline({"64": {"crappy": crappy, "same": same}})
    assert line == "same at 64: +0.00 dB" + (f", {kind[name]} removed 0.00" if more else "")
    assert "<td>same</td>" in table({"crappy": crappy, "same": same})
    assert len(grid.rows) == 2
    if name == "colour":
        assert same["colourfulness"]["mean"] == pytest.approx(0, abs=0.02)
        assert same["ab_error"]["mean"] > 10
    if name == "inpaint":  # nothing but the holes is wrong
        assert same["damage_ceiling"]["mean"] > 0.999


def test_text_and_other_spots_are_told_apart(spoilt: Callable[[Steps], Made]) -> None:
    holes: Steps = [{"hole": {"count": [1, 1], "share": [0.2, 0.2]}}, "text"]
    same = measured(spoilt(holes))[0]["same"].summary(seed=0)
    for kind in ("text", "damage"):
        assert same[f"{kind}_removed"]["mean"] == pytest.approx(0)
        assert same[f"{kind}_ceiling"]["mean"] > 0.6


def test_the_headline_names_every_model_with_its_gain() -> None:
    gain = {"mean": 1.0, "median": 2.345, "low": 0.0, "high": 3.0}
    model = {"psnr_gain": gain, "text_removed": {"mean": 0.876}}
    metrics = {"128": {"crappy": model, "gan": model, "gan_against_generator": {}}, "critic": {}}
    assert evaluate.headline(metrics) == "gan at 128: +2.35 dB, text removed 0.88"


def test_a_headline_can_do_without_text() -> None:
    model = {"psnr_gain": {"median": 1.0}}
    assert evaluate.headline({"128": {"gan": model}}) == "gan at 128: +1.00 dB"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colour", "old-photo"])
def test_the_page_shows_the_steps_of_the_chosen_recipe_and_their_measures(
    name: str,
    spoilt: Callable[[Steps], Made],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest, folder = spoilt(RECIPES[name])
    manifest.write(folder)
    history = "epoch,train_loss,valid_loss,valid_psnr,valid_accuracy\n1,1,1,20,0.9\n"
    for stage in ("pretrain_generator", "fit_gan", "fit_control", "fit_feature", "pretrain_critic"):
        shutil.copytree(model, tmp_path / "models" / stage)
        (tmp_path / "models" / stage / "history.csv").write_text(history)
    (tmp_path / "models/pretrain_critic/metrics.json").write_text('{"accuracy": 0.9}')
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["crappify"]["recipe"] = name
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    at = [evaluate.At(image_px=64, models=["generator", "feature"])]
    change = {"at": at, "encoder": "resnet18"}
    evaluate.run(PARAMS.model_copy(update=change), folder, photos=tmp_path)
    html = (tmp_path / "reports/index.html").read_text()
    shown = html[html.index("What was done to the photos") : html.index("All parameters")]
    assert all(
        (step if isinstance(step, str) else next(iter(step))) in shown for step in manifest.recipe
    )
    assert "colourfulness" in html and "text removed" not in html
    said = capsys.readouterr().out
    assert ("damage removed" in html) == ("damage removed" in said) == (name == "old-photo")
