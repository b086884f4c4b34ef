"""`python -m tasks STAGE --lr-find [PHASE]`, in a project with a few tiny pairs."""

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lessonpipe.crappify import Recipe
from lessonpipe.data.manifest import Manifest
from tests.conftest import ROOT, make_picture, saved_pairs

STEPS = [{"resize": {"shorter": 32}}, "text", "jpeg"]
Door = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Six pairs, and params of a tiny network."""
    recipe = Recipe(STEPS)
    make_picture(90, 70).save(tmp_path / "a.jpg")
    out = tmp_path / "data/crappify"
    made = saved_pairs(
        tmp_path / "a.jpg",
        split="train",
        group_pattern=None,
        tile_px=64,
        count=6,
        recipe=recipe,
        out=out,
    )
    Manifest(STEPS, recipe.quality, recipe.seed, made.pairs).write(out)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    phase = {"image_px": 32, "batch": 2, "epochs": 1, "max_lr": 1e-3}
    params["pretrain_generator"]["net"] |= {"widths": [16, 16, 8, 8], "head": 8}
    params["pretrain_generator"] |= {
        "pretrained": False,
        "phases": [phase, phase | {"frozen": True}],
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def test_it_suggests_a_rate_plots_the_curve_and_trains_nothing(project: Path, door: Door) -> None:
    done = door("tasks", "pretrain_generator", "--lr-find", "2")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("pretrain_generator phase 2 (32 px): max_lr valley ")
    rows = list(csv.DictReader((project / "reports/lr_find/pretrain_generator.csv").open()))
    assert float(rows[0]["rate"]) == pytest.approx(1e-7)
    assert 20 < len(rows) <= 100
    svg = (project / "reports/lr_find/pretrain_generator.svg").read_text()
    assert svg.startswith("<svg") and "valley" in svg
    assert not (project / "models").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit_gan", "--lr-find"], "fit_gan has no learning rate to find; those that have: pret"),
        (["pretrain_generator", "--lr-find", "3"], "has 2 phases; there is no phase 3"),
        (["fit_feature", "--lr-find"], "run `dvc repro pretrain_generator` first"),
        (["pretrain_generator", "3"], "a phase is for --lr-find: pretrain_generator --lr-find 3"),
    ],
)
def test_a_stage_or_phase_without_a_rate_is_an_error_with_the_cure(
    args: list[str], message: str, project: Path, door: Door
) -> None:
    done = door("tasks", *args)
    assert done.returncode == 2
    assert message in done.stderr
