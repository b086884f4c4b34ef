"""One worker with 8 pictures, two with 4 each and four with 2 each follow the same curve."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "several", "compiled"),
    [("none", "2", ""), ("batch", "2", ""), ("batch", "4", ""), ("batch", "2", "aot_eager")],
)
def test_one_worker_and_several_follow_the_same_loss_curve(tmp_path, norm, several, compiled):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["precision"] = "fp32"
    params["download"]["limit"] = 5
    params["crappify"] |= {"series": None, "tiles": {"tile_px": 64, "train": 5, "valid": 3}}
    params["pretrain_generator"] |= {
        "widths": [16, 16, 8, 8],
        "head": 8,
        "norm": norm,
        "phases": [
            {"image_px": 64, "batch": 8, "epochs": 3, "max_lr": 1e-3, "frozen": norm == "none"}
        ],
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    curves = []
    for workers in ("1", several):
        stages = (
            ["pretrain_generator"] if curves else ["download", "crappify", "pretrain_generator"]
        )
        for stage in stages:
            done = subprocess.run(
                [sys.executable, "-m", "tasks", stage],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "LESSONPIPE_WORKERS": workers,
                    "LESSONPIPE_COMPILE": compiled if workers == several else "",
                    "LESSONPIPE_DEVICE": "cpu",
                },
                capture_output=True,
                text=True,
                timeout=240,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        text = (tmp_path / "models/pretrain_generator/history.csv").read_text()
        curves.append(list(csv.DictReader(text.splitlines())))
    assert len(curves[0]) == len(curves[1]) == 3
    for one, two in zip(*curves, strict=True):
        for name in ("train_loss", "valid_loss", "valid_psnr"):
            assert float(one[name]) == pytest.approx(float(two[name]), rel=2e-3), name
