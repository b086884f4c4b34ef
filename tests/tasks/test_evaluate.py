"""Measuring models on real pairs: a network that does nothing gains nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.pairs import make_pairs
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pairs import square
from lessonpipe.data.photos import open_photo
from lessonpipe.train.place import Place
from tasks import evaluate
from tests.conftest import make_picture

STEPS = [{"resize": {"shorter": 32}}, "text", "jpeg"]
PARAMS = evaluate.Params(
    seed=1, precision="fp32", at=[], batch=2, encoder="none", pretrained=False, grid_rows=2
)


class Eyes(nn.Module):
    def forward(self, made: Tensor, good: Tensor) -> Tensor:
        return (made - good).abs().flatten(1).mean(1)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Manifest, Path]:
    """Tiles of three photos, spoilt by a recipe that writes, all on the validation side."""
    made = []
    recipe = Recipe(STEPS)
    for i in range(3):
        make_picture(90, 70, seed=i).save(tmp_path / f"{i}.jpg")
        made += make_pairs(
            tmp_path / f"{i}.jpg",
            f"{i}.jpg",
            side="valid",
            series=None,
            tile_px=64,
            count=2,
            recipe=recipe,
            out=tmp_path / "pairs",
        ).pairs
    return Manifest(STEPS, recipe.quality, recipe.seed, made), tmp_path / "pairs"


def test_a_network_that_does_nothing_gains_nothing(pairs: tuple[Manifest, Path]) -> None:
    manifest, folder = pairs
    nets = {"same": nn.Identity()}
    place = Place(torch.device("cpu"), torch.float32)
    scores, grid = evaluate.measure(nets, manifest, folder, 64, PARAMS, place, Eyes())
    same, crappy = (scores[name].summary(seed=0) for name in ("same", "crappy"))
    assert same["psnr_gain"]["mean"] == pytest.approx(0)
    assert same["text_removed"]["mean"] == pytest.approx(0)
    assert same["psnr"] == crappy["psnr"]
    assert 0.3 < same["text_ceiling"]["mean"] <= 1  # without its text the picture is much nearer
    assert "text_ceiling" not in crappy
    theirs = []
    for pair in manifest.pairs:
        x, y = (square(open_photo(folder / name), 64) for name in (pair.crappy, pair.good))
        theirs.append(peak_signal_noise_ratio(np.asarray(y), np.asarray(x)))
    assert crappy["psnr"]["mean"] == pytest.approx(np.mean(theirs), abs=1e-3)
    assert grid.titles == ["crappy", "same", "photo"]
    assert len(grid.rows) == 2 and all(len(row) == 3 for row in grid.rows)


def test_the_headline_names_every_model_with_its_gain() -> None:
    gain = {"mean": 1.0, "median": 2.345, "low": 0.0, "high": 3.0}
    model = {"psnr_gain": gain, "text_removed": {"mean": 0.876}}
    metrics = {"128": {"crappy": model, "gan": model, "gan_against_generator": {}}, "critic": {}}
    assert evaluate.headline(metrics) == "gan at 128: +2.35 dB, text removed 0.88"


def test_a_headline_can_do_without_text() -> None:
    model = {"psnr_gain": {"median": 1.0}}
    assert evaluate.headline({"128": {"gan": model}}) == "gan at 128: +1.00 dB"
