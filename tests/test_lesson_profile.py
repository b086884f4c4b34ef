"""The lesson as it was: every stage with the notebooks' networks and losses, on few photos."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from tests.conftest import ROOT
from tests.forked import fork_stage
from tests.tasks.pipeline.test_profiles import PARAMS, PROFILES, merged

STAGES = (
    *("download", "recipe", "crappify", "pretrain_generator", "save_preds", "pretrain_critic"),
    *("fit_gan", "fit_pixel", "fit_feature", "compare"),
)
NOTEBOOKS = ("lesson-superres", "lesson-gan")
FEWER = {
    "download": {"source": "sample", "limit": 4},
    "save_preds": {"image_px": 64},
    "fit_gan": {"samples": 2},
    "evaluate": {
        "encoder": "test_resnet",
        "pretrained": False,
        "high_resolution": [512, 640],
    },
    "compare": {
        "evaluations": [
            {"image_px": 64, "models": ["generator", "gan"]},
            {"image_px": 96, "models": ["feature"]},
        ],
        "reference": [f for n in NOTEBOOKS for f in PROFILES[n]["compare"]["reference"]],
    },
}
PX = {128: 64, 256: 96}


def smaller(params: dict) -> dict:
    """Every stage of the rehearsal, at half the size or less.

    The loss is the one notebook's, the networks are the other's.
    """
    for overlay in (*(PROFILES[name] for name in NOTEBOOKS), PROFILES["rehearsal"], FEWER):
        params = merged(params, overlay)
    params = copy.deepcopy(params)  # its parts are the profiles' own
    for stage in ("pretrain_generator", "pretrain_critic", "fit_gan", "fit_feature"):
        for phase in params[stage]["phases"]:
            phase |= {"image_px": PX[phase["image_px"]], "batch": 4}
    for figure in params["compare"]["reference"]:
        figure["image_px"] = PX[figure["image_px"]]
    return params


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights for the lesson's networks, for use without a network."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name in ("resnet34", "vgg16_bn"):
        with torch.device("meta"):
            layers = timm.create_model(name).state_dict().items()
        classifier = ("fc.", "head.", "pre_logits.")
        state = {k: value_of(k, v.shape) for k, v in layers if not k.startswith(classifier)}
        save_file(state, folder / f"{name}.safetensors")
    return folder


def value_of(key: str, shape: torch.Size) -> torch.Tensor:
    """A weight as it starts: Kaiming-normal of convolutions, the identity of batch norms."""
    if len(shape) == 4:
        return torch.randn(shape) * (2 / shape[1:].numel()) ** 0.5
    return torch.ones(shape) if key.endswith(("weight", "running_var")) else torch.zeros(shape)


@pytest.mark.slow
def test_every_stage_of_the_lesson_runs_and_its_figures_stand_beside_the_lessons(
    weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(smaller(PARAMS), sort_keys=False))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    env = {"LESSONPIPE_WEIGHTS": str(weights), "LESSONPIPE_WORKERS": "1"}
    for stage in STAGES:  # forked, not by DVC: that alone starts processes for a minute
        fork_stage(stage, tmp_path, **env).finish()

    figures = json.loads((tmp_path / "reports/comparison/metrics.json").read_text())["reference"]
    assert [f["reached"] for f in figures.values()] == [3.125, 2.064, 0.0431, 0.98]
    assert all(0 < f["ours"] < 1e4 for f in figures.values())
    page = (tmp_path / "reports/comparison/index.html").read_text()
    assert "Beside another run" in page and "<td>0.0431</td>" in page

    critic = json.loads((tmp_path / "models/pretrain_critic/model.json").read_text())
    assert critic["build"] | {"kind": "lesson", "width": 128} == critic["build"]
    history = (tmp_path / "models/fit_feature/history.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in history[1:]] == ["64", "64", "96", "96"]
    assert {"train_feat_2", "train_gram_2"} <= set(history[0].split(","))
