"""A training run that is killed goes on, and ends with the same bytes as one that never was."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Tiny pairs, and models trained on them just enough to be there."""
    folder = tmp_path_factory.mktemp("project")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["download"]["limit"] = 6
    params["crappify"] |= {"group_pattern": None, "tiles": {"tile_px": 64, "train": 6, "valid": 2}}
    phase = {"image_px": 64, "batch": 4, "max_lr": 1e-3, "frozen": False}
    params["pretrain_generator"] |= {
        "widths": [16, 16, 8, 8],
        "head": 8,
        "phases": [phase | {"epochs": 2, "frozen": True}, phase | {"epochs": 4}],
    }
    params["save_preds"]["image_px"] = 64
    params["pretrain_critic"]["phases"] = [{k: phase[k] for k in ("image_px", "batch", "max_lr")}]
    params["pretrain_critic"]["phases"][0]["epochs"] = 1
    params["fit_gan"] |= {"image_px": 64, "batch": 4, "epochs": 5, "samples": 1, "ema": 0.9}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for stage in ("download", "crappify", "pretrain_generator", "save_preds", "pretrain_critic"):
        done = start(stage, folder)
        out, _ = done.communicate(timeout=180)
        assert done.returncode == 0, out
    return folder


def start(stage, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "tasks", stage],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LESSONPIPE_DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def weights(folder, stage):
    files = sorted((folder / "models" / stage).rglob("*.safetensors"))
    assert files
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain_generator", "fit_gan"])
def test_a_killed_run_ends_with_the_same_bytes_as_one_that_never_was(project, stage):
    whole = start(stage, project)
    out, _ = whole.communicate(timeout=180)
    assert whole.returncode == 0, out
    expected = weights(project, stage)
    history = (project / "models" / stage / "history.csv").read_text()

    killed_after = []
    for kills in (2, 4):  # the second kill hits a run that was itself resumed
        victim = start(stage, project)
        assert victim.stdout is not None
        for line in victim.stdout:
            if line.lstrip("\r ").startswith(f"epoch {kills}  "):
                break
        time.sleep(0.3)  # into the next epoch
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        kept = list((project / ".lessonpipe/checkpoints").glob(f"{stage}-*/last.pt"))
        assert len(kept) == 1
        killed_after.append(kills)
    resumed = start(stage, project)
    out, _ = resumed.communicate(timeout=180)
    assert resumed.returncode == 0, out
    assert "going on after epoch" in out
    assert weights(project, stage) == expected
    assert (project / "models" / stage / "history.csv").read_text() == history
    assert not list((project / ".lessonpipe/checkpoints").glob(f"{stage}-*"))


@pytest.mark.slow
def test_other_params_do_not_take_up_a_killed_runs_checkpoint(project):
    victim = start("pretrain_generator", project)
    assert victim.stdout is not None
    for line in victim.stdout:
        if line.lstrip("\r ").startswith("epoch 1  "):
            break
    time.sleep(0.3)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    params = (project / "params.yaml").read_text()
    try:
        (project / "params.yaml").write_text(params.replace("seed: 42", "seed: 43"))
        other = start("pretrain_generator", project)
        out, _ = other.communicate(timeout=180)
        assert other.returncode == 0
        assert "going on" not in out
    finally:
        (project / "params.yaml").write_text(params)


@pytest.mark.slow
def test_a_critic_that_is_not_trained_at_all_is_a_model_that_was_measured(project):
    path = project / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    params["pretrain_critic"]["phases"][0]["epochs"] = 0
    path.write_text(yaml.safe_dump(params))
    try:
        fresh = start("pretrain_critic", project)
        out, _ = fresh.communicate(timeout=180)
    finally:
        path.write_text(before)
    assert fresh.returncode == 0, out
    told = json.loads((project / "models/pretrain_critic/metrics.json").read_text())
    assert 0 <= told["accuracy"] <= 1
