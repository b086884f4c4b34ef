"""A worse, an equal and a better model at the gate; one command goes back."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from flows import promote
from lessonpipe.crappify import Recipe
from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import UserError
from lessonpipe.nets import Generator
from lessonpipe.nets.io import save_model
from tests.conftest import ROOT, make_picture, saved_pairs

STEPS = [{"resize": {"shorter": 32}}, "jpeg"]


def generator(noise: float) -> Generator:
    """It leaves a picture as it is, but for what `noise` adds."""
    torch.manual_seed(0)
    net = Generator(
        "resnet18", pretrained=False, widths=[8, 8, 8, 8], head=8, norm="none", output="correction"
    )
    torch.nn.init.normal_(net.unet.answer[0].weight, std=noise)
    torch.nn.init.zeros_(net.unet.answer[0].bias)
    return net


@pytest.fixture
def project(dvc_project, tmp_path):
    """Pairs of six photos, params, and three models in `made/`: what differs is how bad."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["precision"] = "fp32"
    params["evaluate"] |= {"encoder": "resnet18", "pretrained": False, "batch": 4, "grid_rows": 2}
    params["promote"] |= {"image_px": 64, "allowed": {"text_removed": 0.01, "sharpness": 9.0}}
    dvc_project({"params.yaml": yaml.safe_dump(params), "dvc.yaml": "stages: {}\n"})
    recipe, made = Recipe(STEPS), []
    for i in range(6):
        make_picture(90, 70, seed=i).save(tmp_path / f"{i}.jpg")
        made += saved_pairs(
            tmp_path / f"{i}.jpg",
            Path("data/crappify"),
            split="valid",
            group_pattern=None,
            tile_px=64,
            count=1,
            recipe=recipe,
        ).pairs
    Manifest(STEPS, recipe.quality, recipe.seed, made).write(Path("data/crappify"))
    for name, noise in {"worse": 0.4, "middle": 0.2, "better": 0.1}.items():
        save_model(Path("made") / name, generator(noise), {"stage": name})
    equal = generator(0.2)  # but for the bytes
    with torch.no_grad():
        equal.unet.answer[0].bias[0] += 1e-7
    save_model(Path("made/equal"), equal, {"stage": "equal"})
    return tmp_path


def made(name):
    """A training made this model."""
    shutil.rmtree("models/fit_feature", ignore_errors=True)
    shutil.copytree(f"made/{name}", "models/fit_feature")


def in_service():
    return json.loads((promote.IN_SERVICE / "model.json").read_text())["about"]["stage"]


def tags():
    return subprocess.run(["git", "tag"], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
def test_only_what_is_better_goes_into_service_and_one_command_goes_back(project, capsys):
    made("middle")
    assert promote.promote().reasons == ["there was none before"]
    assert in_service() == "middle"
    page = promote.PAGE.read_text()
    assert "v1 went into service" in page and "there was none before" in page
    assert page == (promote.VERSIONS / "v1" / "promotion.html").read_text()

    pictures = "data:image/jpeg;base64,"
    for name, why in {
        "worse": "psnr_gain is not surely better: -",
        "equal": "0.000, 95 % interval ",
        "middle": "models/fit_feature is v1, the model in service",
    }.items():
        made(name)
        assert not promote.promote().better
        assert in_service() == "middle"
        page = promote.PAGE.read_text()
        assert "not promoted" in page and why in page
        assert (pictures in page) == (name != "middle")  # which left nothing to compare

    made("better")
    Path("dvc.lock").write_text("what was run")
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    assert promote.promote().better
    assert in_service() == "better"
    assert promote.IN_SERVICE.is_symlink() and promote.IN_SERVICE.resolve().name == "v2"
    page = (promote.VERSIONS / "v2" / "promotion.html").read_text()
    assert "v2 went into service" in page and pictures in page
    assert "psnr_gain is surely better" in page
    assert {"restorer@v1", "restorer@v2", "restorer#in-service#2"} <= set(tags())
    shown = ["git", "show", "restorer@v2:dvc.lock"]  # as it was, though nobody committed it
    assert subprocess.run(shown, capture_output=True, text=True).stdout == "what was run"

    assert promote.rollback() == "v1"
    assert in_service() == "middle"
    assert [entry["version"] for entry in promote.history()] == ["v1", "v2", "v1"]
    assert promote.rollback() == "v2"
    assert in_service() == "better"


@pytest.mark.slow
def test_a_model_that_is_worse_elsewhere_is_not_promoted(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["promote"]["allowed"] = {"sharpness": -0.9}  # it must be sharper by this
    Path("params.yaml").write_text(yaml.safe_dump(params))
    made("middle")
    promote.promote()
    made("better")
    verdict = promote.promote()
    assert not verdict.better and "sharpness is worse" in verdict.reasons[0]


def test_without_a_version_before_there_is_no_way_back(project):
    with pytest.raises(UserError, match="no other version"):
        promote.rollback()
    made("middle")
    promote.promote()
    with pytest.raises(UserError, match="no other version"):
        promote.rollback()
    assert in_service() == "middle"
