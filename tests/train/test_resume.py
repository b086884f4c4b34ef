"""A training that is killed resumes, and ends with the same bytes as one that never was."""

import csv
import json
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from lessonpipe.data.manifest import Manifest
from lessonpipe.nets import Critic, CriticConfig
from lessonpipe.nets.io import save_model
from tests.conftest import ROOT
from tests.forked import fork_stage
from tests.small import generator, unet_config

PHASE = {"image_px": 64, "batch": 4, "max_lr": 1e-3}
CRITIC = {"kind": "encoder", "encoder": "test_efficientnet", "depth": 3, "width": 8}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, pairs: Path) -> Path:
    """Small pairs, generated images, and untrained models."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    (folder / "data/crappify").symlink_to(pairs)
    generated = folder / "data/save_preds"
    for pair in Manifest.read(pairs).pairs:
        path = generated / f"{pair.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.open(pairs / pair.crappy).resize((64, 64)).save(path)
    save_model(folder / "models/pretrain_generator", generator(output="correction"), {})
    torch.manual_seed(1)
    critic = Critic(CriticConfig(**CRITIC), pretrained=False)
    save_model(folder / "models/pretrain_critic", critic, {})

    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
        "phases": [PHASE | {"epochs": 2, "frozen": True}, PHASE | {"epochs": 6}],
    }
    params["pretrain_critic"] |= {
        "net": CRITIC,
        "pretrained": False,
        "phases": [PHASE | {"epochs": 0}],
    }
    params["fit_gan"]["feature"] |= {"encoder": "test_resnet", "pretrained": False}
    params["fit_gan"] |= {"samples": 1, "phases": [PHASE | {"epochs": 8, "frozen": True}]}
    assert params["fit_gan"]["gan"]["ema"] > 0
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def results(project: Path, stage: str) -> dict[str, bytes]:
    """The bytes of weights, history and samples."""
    folder = project / "models" / stage
    files = [path for path in folder.rglob("*") if path.suffix in (".safetensors", ".csv", ".jpg")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kill_after_epoch(stage: str, project: Path, epoch: int) -> None:
    victim = fork_stage(stage, project)
    victim.wait_for_line(f"epoch {epoch}  ")
    time.sleep(0.1)  # into the next epoch
    victim.kill()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain_generator", "fit_gan"])
def test_a_killed_training_ends_with_the_same_bytes_as_one_that_never_was(
    project: Path, stage: str
) -> None:
    fork_stage(stage, project).finish()
    expected = results(project, stage)
    assert len(expected) == {"pretrain_generator": 2, "fit_gan": 3 + 8}[stage]
    for epoch in (2, 4):  # the second kill hits a training that was itself resumed
        kill_after_epoch(stage, project, epoch)
        assert len(list(project.glob(f".lessonpipe/checkpoints/{stage}-*/last.pt"))) == 1
    assert "resuming after epoch" in fork_stage(stage, project).finish()
    assert results(project, stage) == expected
    assert not list(project.glob(f".lessonpipe/checkpoints/{stage}-*"))
    curves = list(project.glob(f"live/{stage}/plots/metrics/*/*.tsv"))
    assert any(path.parent.name == "train" for path in curves)
    for path in curves:  # of a kill, too, no step is there twice, and all 8 epochs of 5 are there
        steps = [int(row["step"]) for row in csv.DictReader(path.open(), delimiter="\t")]
        assert steps == sorted(set(steps))
        assert path.parent.name == "train" or steps == list(range(5, 41, 5))


@pytest.mark.slow
def test_other_params_do_not_resume_from_a_killed_trainings_checkpoint(project: Path) -> None:
    kill_after_epoch("pretrain_generator", project, 1)
    path = project / "params.yaml"
    before = path.read_text()
    try:
        path.write_text(before.replace("seed: 42", "seed: 43"))
        assert "resuming" not in fork_stage("pretrain_generator", project).finish()
    finally:
        path.write_text(before)


@pytest.mark.slow
def test_a_critic_of_no_epochs_is_saved_with_its_accuracy(project: Path) -> None:
    fork_stage("pretrain_critic", project).finish()
    metrics = json.loads((project / "models/pretrain_critic/metrics.json").read_text())
    assert 0 <= metrics["accuracy"] <= 1
