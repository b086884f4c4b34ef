"""Evaluation on real pairs: a network that changes nothing gains nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.device import Worker
from lessonpipe.errors import MissingError
from lessonpipe.report.evaluation import Grid, evaluate_models
from lessonpipe.report.scores import Scores
from lessonpipe.report.summary import headline, metrics_table
from tests.report.pairs import RECIPES, validation_pairs


class MeanError(nn.Module):
    """In place of the perceptual distance, which needs an encoder."""

    def forward(self, output: Tensor, photo: Tensor) -> Tensor:
        return (output - photo).abs().flatten(1).mean(1)


def evaluate_identity(pairs: Path) -> tuple[dict[str, Scores], Grid]:
    """Scores of the crappy pictures and of a network that changes nothing."""
    return evaluate_models(
        {"same": nn.Identity()},
        pairs,
        64,
        batch=2,
        grid_rows=2,
        perceptual=MeanError(),
        worker=Worker(torch.device("cpu"), torch.float32),
    )


def test_a_network_that_changes_nothing_gains_nothing(tmp_path: Path) -> None:
    steps: Steps = [{"resize": {"shorter": 32}}, "text", "jpeg"]
    pairs = validation_pairs(steps, tmp_path, tmp_path / "pairs")
    scores, grid = evaluate_identity(pairs)
    same, crappy = (scores[name].summary(seed=0) for name in ("same", "crappy"))
    assert same["psnr_gain"]["mean"] == pytest.approx(0)
    assert same["text_removed"]["mean"] == pytest.approx(0)
    assert same["psnr"] == crappy["psnr"]
    assert 0.3 < same["text_ceiling"]["mean"] <= 1  # without its text the picture is much nearer
    assert "text_ceiling" not in crappy
    expected = []
    for pair in Manifest.read(pairs).pairs:
        x, y = (center_square(open_photo(pairs / name), 64) for name in (pair.crappy, pair.good))
        expected.append(peak_signal_noise_ratio(np.asarray(y), np.asarray(x)))
    assert crappy["psnr"]["mean"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert grid.titles == ["crappy", "same", "photo"]
    assert len(grid.rows) == 2 and all(len(row) == 3 for row in grid.rows)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_its_metrics_and_a_headline(name: str, tmp_path: Path) -> None:
    scores, grid = evaluate_identity(validation_pairs(RECIPES[name], tmp_path, tmp_path / "pairs"))
    same, crappy = (scores[model].summary(seed=0) for model in ("same", "crappy"))
    always = {"psnr", "psnr_gain", "ssim", "perceptual", "sharpness", "colourfulness", "ab_error"}
    kind = {"lesson": "text", "old-photo": "damage", "watermark": "damage", "inpaint": "damage"}
    kinds = [kind[name], *(["unseen"] if name == "old-photo" else [])] if name in kind else []
    more = {f"{k}_{what}" for k in kinds for what in ("removed", "ceiling")}
    more |= {"ghost", "ghost_p95", "flat_ghost", "flat_ghost_p95"} & set(same) if more else set()
    assert set(same) == always | more | {"clean_psnr"}
    assert same["clean_psnr"]["mean"] == pytest.approx(100)  # as it was
    assert ("ghost" in same) == (name in kind)
    line = headline({"64": {"crappy": crappy, "same": same}})
    assert line.startswith("same at 64: +0.00 dB" + "".join(f", {k} removed 0.00" for k in kinds))
    table = metrics_table({"crappy": crappy, "same": same})
    assert table.columns == ["", "crappy", "same"]
    assert table.cells[0][0].text == "PSNR gained, dB"
    assert len(grid.rows) == 2
    if name == "colour":
        assert same["colourfulness"]["mean"] == pytest.approx(0, abs=0.02)
        assert same["ab_error"]["mean"] > 10
    if name == "inpaint":  # only the holes are wrong
        assert same["damage_ceiling"]["mean"] > 0.999


def test_text_and_other_local_damage_are_scored_apart(tmp_path: Path) -> None:
    holes: Steps = [{"hole": {"count": [1, 1], "share": [0.2, 0.2]}}, "text"]
    same = evaluate_identity(validation_pairs(holes, tmp_path, tmp_path / "pairs"))[0][
        "same"
    ].summary(seed=0)
    for kind in ("text", "damage"):
        assert same[f"{kind}_removed"]["mean"] == pytest.approx(0)
        assert same[f"{kind}_ceiling"]["mean"] > 0.6


def test_ghost_is_the_difference_that_local_damage_makes_and_orders_the_grid(
    tmp_path: Path,
) -> None:
    steps: Steps = [{"resize": {"shorter": 32}}, "text", "jpeg"]
    pairs = validation_pairs(steps, tmp_path, tmp_path / "pairs")
    scores, grid = evaluate_identity(pairs)
    recipe, left, photos = Recipe(steps), {}, {}
    for pair in Manifest.read(pairs).pairs:
        good = open_photo(pairs / pair.good)
        without = recipe.degrade(good, pair.name, without=["text"])
        x, y = (
            np.asarray(center_square(picture, 64), dtype=float)
            for picture in (open_photo(pairs / pair.crappy), without)
        )
        difference = np.abs(x - y).max(-1)
        values = difference[difference > 16]
        left[pair.name] = values.mean()
        photos.setdefault(pair.photo, []).append(values)
    means = [np.concatenate(photos[name]).mean() for name in sorted(photos)]
    assert scores["same"].by_photo("ghost") == pytest.approx(means, abs=0.2)
    assert scores["same"].by_photo("ghost") == scores["crappy"].by_photo("ghost")
    worst = next(p for p in Manifest.read(pairs).pairs if p.name == max(left, key=left.__getitem__))
    shown = np.asarray(grid.rows[0][0])
    assert np.array_equal(shown, np.asarray(center_square(open_photo(pairs / worst.crappy), 64)))


def test_without_pairs_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"manifest\.json is not there"):
        evaluate_identity(tmp_path)


def test_of_drawings_only_what_needs_no_photo_is_measured(tmp_path: Path) -> None:
    steps: Steps = ["text", {"jpeg": {"quality": 90}}]
    pairs = validation_pairs(steps, tmp_path, tmp_path / "pairs", target=["edges"])
    scores, grid = evaluate_identity(pairs)
    same = scores["same"].summary(seed=0)
    assert set(same) >= {"psnr_gain", "ssim"}
    assert not {"clean_psnr", "text_removed", "ghost"} & set(same)
    assert grid.titles == ["crappy", "same", "target"]
    white = np.asarray(grid.rows[0][2]).mean() - np.asarray(grid.rows[0][0]).mean()
    assert white > 50 and same["psnr_gain"]["mean"] == 0 and same["psnr"]["mean"] < 15
