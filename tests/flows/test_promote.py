"""A worse, an equal and a better model for promotion; one command goes back."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from lessonpipe.app import registry
from lessonpipe.crappify import Recipe
from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import UserError
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.nets.io import save_model
from lessonpipe.report.evaluation import EvaluationParams
from lessonpipe.report.promotion import PromotionParams
from tasks.pipeline.params import load
from tests.conftest import ROOT, make_picture, saved_pairs
from tests.forked import Forked

STEPS = [{"resize": {"shorter": 32}}, "jpeg"]


def generator(noise: float) -> Generator:
    """A network that leaves a picture as it is, but for some noise."""
    torch.manual_seed(0)
    config = UnetConfig(
        encoder="resnet18", widths=[8, 8, 8, 8], head=8, norm="none", output="correction"
    )
    net = Generator(config, pretrained=False)
    torch.nn.init.normal_(net.unet.output[0].weight, std=noise)
    torch.nn.init.zeros_(net.unet.output[0].bias)
    return net


@pytest.fixture
def project(dvc_project, tmp_path):
    """Pairs of six photos, params, and in `trained/` models that differ in their noise."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["precision"] = "fp32"
    params["evaluate"] |= {"encoder": "resnet18", "pretrained": False, "batch": 4, "grid_rows": 2}
    params["promote"] |= {"image_px": 64, "tolerances": {"text_removed": 0.01, "sharpness": 9.0}}
    dvc_project({"params.yaml": yaml.safe_dump(params), "dvc.yaml": "stages: {}\n"})
    recipe, pairs = Recipe(STEPS), []
    for i in range(6):
        make_picture(90, 70, seed=i).save(tmp_path / f"{i}.jpg")
        pairs += saved_pairs(
            tmp_path / f"{i}.jpg",
            Path("data/crappify"),
            split="valid",
            group_pattern=None,
            tile_px=64,
            count=1,
            recipe=recipe,
        ).pairs
    Manifest(STEPS, recipe.quality, recipe.seed, pairs).write(Path("data/crappify"))
    for name, noise in {"worse": 0.4, "middle": 0.2, "better": 0.1}.items():
        save_model(Path("trained") / name, generator(noise), {"stage": name})
    equal = generator(0.2)  # but for the bytes
    with torch.no_grad():
        equal.unet.output[0].bias[0] += 1e-7
    save_model(Path("trained/equal"), equal, {"stage": "equal"})
    return tmp_path


def train(name):
    """Put this model where training would."""
    shutil.rmtree("models/fit_pixel", ignore_errors=True)
    shutil.copytree(f"trained/{name}", "models/fit_pixel")


def promote():
    return registry.promote(
        load(PromotionParams, "promote"), load(EvaluationParams, "evaluate", partly=True)
    )


def in_production():
    return json.loads((registry.PRODUCTION / "model.json").read_text())["about"]["stage"]


def tags():
    return subprocess.run(["git", "tag"], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_only_a_better_model_is_promoted_and_one_command_goes_back(project, capsys):
    train("middle")
    assert promote().reasons == ["there was none before"]
    assert in_production() == "middle"
    page = registry.PAGE.read_text()
    assert "v1 went into service" in page and "there was none before" in page
    assert page == (registry.VERSIONS / "v1" / "promotion.html").read_text()

    pictures = "data:image/jpeg;base64,"
    for name, why in {
        "worse": "psnr_gain is not surely better: -",
        "equal": "0.000, 95 % interval ",
        "middle": "models/fit_pixel is v1, the model in service",
    }.items():
        train(name)
        assert not promote().better
        assert in_production() == "middle"
        page = registry.PAGE.read_text()
        assert "not promoted" in page and why in page
        assert (pictures in page) == (name != "middle")  # which left nothing to compare

    train("better")
    Path("dvc.lock").write_text("what was run")
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    assert promote().better
    assert in_production() == "better"
    assert registry.PRODUCTION.is_symlink() and registry.current_version() == "v2"
    page = (registry.VERSIONS / "v2" / "promotion.html").read_text()
    assert "v2 went into service" in page and pictures in page
    assert "psnr_gain is surely better" in page
    assert {"restorer@v1", "restorer@v2", "restorer#in-service#2"} <= set(tags())
    command = ["git", "show", "restorer@v2:dvc.lock"]  # as it was, though nobody committed it
    assert subprocess.run(command, capture_output=True, text=True).stdout == "what was run"

    assert registry.rollback() == "v1"
    assert in_production() == "middle"
    assert [entry["version"] for entry in registry.history()] == ["v1", "v2", "v1"]
    assert registry.rollback() == "v2"
    assert in_production() == "better"


@pytest.mark.slow
def test_of_promotions_at_the_same_time_the_second_waits_for_the_first(project):
    train("middle")
    both = [Forked(project, f"promote{i}", promote) for i in range(2)]
    said = sorted(one.finish().splitlines()[0] for one in both)
    assert said == [
        "not promoted: models/fit_pixel is v1, the model in service",
        "v1 is in service: there was none before",
    ]
    assert [entry["version"] for entry in registry.history()] == ["v1"]


@pytest.mark.slow
def test_a_model_whose_other_metric_is_worse_is_not_promoted(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["promote"]["tolerances"] = {"sharpness": -0.9}  # it must be sharper by this
    Path("params.yaml").write_text(yaml.safe_dump(params))
    train("middle")
    promote()
    train("better")
    decision = promote()
    assert not decision.better and "sharpness is worse" in decision.reasons[0]


def test_the_command_promotes_and_without_a_version_before_refuses_to_go_back(project, door):
    with pytest.raises(UserError, match="no other version"):
        registry.rollback()
    train("middle")
    done = door("flows", "promote")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("v1 is in service: there was none before\n")
    refused = door("flows", "promote", "--rollback")
    assert refused.returncode == 2
    assert "no other version was in service before; nothing is changed" in refused.stderr
    assert in_production() == "middle"
