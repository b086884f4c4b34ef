"""One worker with 8 pictures, two with 4 each and four with 2 each follow the same curve."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def run(folder: Path, *stages: str, **env: str) -> None:
    """Run stages there, on CPUs."""
    for stage in stages:
        done = subprocess.run(
            [sys.executable, "-m", "tasks", stage],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LESSONPIPE_DEVICE": "cpu", **env},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def curve(folder: Path) -> list[dict[str, str]]:
    """A row an epoch."""
    text = (folder / "models/pretrain_generator/history.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A project in which one worker trained a generator with some norm."""

    @cache
    def trained(norm: str) -> Path:
        folder = tmp_path_factory.mktemp(norm)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["precision"] = "fp32"
        params["download"]["limit"] = 5
        params["crappify"] |= {
            "group_pattern": None,
            "tiles": {"tile_px": 64, "train": 5, "valid": 3},
        }
        params["pretrain_generator"] |= {
            "widths": [16, 16, 8, 8],
            "head": 8,
            "norm": norm,
            "phases": [
                {"image_px": 64, "batch": 8, "epochs": 3, "max_lr": 1e-3, "frozen": norm == "none"}
            ],
        }
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        run(folder, "download", "crappify", "pretrain_generator", LESSONPIPE_WORKERS="1")
        return folder

    return trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "several", "compiled"),
    [("none", "2", ""), ("batch", "2", ""), ("batch", "4", ""), ("batch", "2", "aot_eager")],
)
def test_one_worker_and_several_follow_the_same_loss_curve(
    alone: Callable[[str], Path], tmp_path: Path, norm: str, several: str, compiled: str
) -> None:
    for name in ("params.yaml", "data"):
        copy = shutil.copytree if (alone(norm) / name).is_dir() else shutil.copy
        copy(alone(norm) / name, tmp_path / name)
    facts = {"LESSONPIPE_WORKERS": several, "LESSONPIPE_COMPILE": compiled}
    run(tmp_path, "pretrain_generator", **facts)
    ours, theirs = curve(tmp_path), curve(alone(norm))
    assert len(ours) == len(theirs) == 3
    for one, two in zip(ours, theirs, strict=True):
        for name in ("train_loss", "valid_loss", "valid_psnr"):
            assert float(one[name]) == pytest.approx(float(two[name]), rel=2e-3), name
