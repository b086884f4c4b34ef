"""Experiments run in DVC's copies of the project, by the real DVC."""

import json
from pathlib import Path

import pytest
import yaml

from flows.dvc import dvc
from flows.experiments.queue import Experiment, finished, run_all
from tests.conftest import make_picture

STAGES = {
    "download": {
        "cmd": "python -m tasks download",
        "deps": ["${download.folder}"],
        "params": ["download"],
        "outs": ["data/photos"],
    }
}


@pytest.mark.slow
def test_an_experiment_reads_the_photos_that_git_ignores(dvc_project, tmp_path):
    download = {"source": "folder", "folder": "my photos", "pattern": "*", "limit": None}
    params = yaml.safe_dump({"seed": 1, "precision": "fp32", "download": download})
    dvc_project(
        {
            "params.yaml": params,
            "dvc.yaml": yaml.safe_dump({"stages": STAGES}),
            ".gitignore": "/my photos/*\n!/my photos/README.md\n/data\n",
            "my photos/README.md": "Good photos go here.\n",
        }
    )
    for i in range(2):
        make_picture(seed=i).save(f"my photos/{i}.png")
    one = Experiment(stage="download", overrides=["download.limit=1"])
    run_all([one])
    assert finished() == {one.name}
    dvc("get", ".", "data/photos", "--rev", one.name, "-o", "found")
    assert sorted(path.name for path in Path("found").iterdir()) == ["0.png", "download.json"]
    assert json.loads(Path("found/download.json").read_text())["photos"] == 1
    assert Path("params.yaml").read_text() == params  # the workspace is left alone


@pytest.mark.slow
def test_an_experiment_starts_from_the_model_that_git_does_not_track(dvc_project):
    start = "${pretrain_generator.start}"
    stage = {
        "cmd": f"cp {start}/model.json copied.json",
        "deps": [start],
        "params": ["seed"],
        "outs": ["copied.json"],
    }
    dvc_project(
        {
            "params.yaml": "seed: 1\npretrain_generator: {start: my_model}\n",
            "dvc.yaml": yaml.safe_dump({"stages": {"copy": stage}}),
            "my_model/README.md": "A model goes here.\n",
        }
    )
    Path("my_model/model.json").write_text('{"kind": "generator"}')
    one = Experiment(stage="copy", overrides=["seed=2"])
    run_all([one])
    dvc("get", ".", "copied.json", "--rev", one.name, "-o", "found.json")
    assert Path("found.json").read_text() == '{"kind": "generator"}'
