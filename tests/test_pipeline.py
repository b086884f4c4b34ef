"""All stages, end to end, through a real DVC: shortened, killed, resumed, up to date."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import make_picture, until
from tests.small import unet_config

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENV = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "LESSONPIPE_DEVICE": "cpu",
    "LESSONPIPE_WORKERS": "1",
}


def shortened(params: dict) -> dict:
    """A little of everything, by tiny networks at half the size."""
    tiny = {"encoder": "test_resnet", "pretrained": False}
    params["download"]["limit"] = 8
    params["crappify"]["tiles"] = {"tile_px": 96, "train": 4, "valid": 2}
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
    }
    params["pretrain_critic"]["net"] |= {"encoder": "test_efficientnet", "width": 8}
    params["pretrain_critic"]["pretrained"] = False
    params["fit_gan"]["feature"] |= tiny
    params["fit_feature"]["feature"] |= tiny
    for stage in ("pretrain_generator", "pretrain_critic", "fit_gan", "fit_pixel"):
        for phase in params[stage]["phases"]:
            px = {128: 64, 256: 96}[phase["image_px"]]
            phase |= {"image_px": px, "batch": 4, "epochs": 2, "samples_per_epoch": 8}
    # long enough to be killed in between
    params["pretrain_generator"]["phases"][0] |= {"epochs": 10, "samples_per_epoch": 32}
    params["save_preds"]["image_px"] = 64
    params["fit_gan"]["samples"] = 2
    params["evaluate"] |= {**tiny, "high_resolution": [512, 640]}
    for stage in ("evaluate", "compare"):
        for evaluation, px in zip(params[stage]["evaluations"], (64, 96), strict=True):
            evaluation["image_px"] = px
    return params


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with little to do."""
    return clone(tmp_path_factory.mktemp("clone") / "project", shortened)


def clone(folder, change, lock=False):
    """The project's tracked files as they are now, in a repository of git and DVC.

    With `lock` it has the project's dvc.lock, as any clone does, and nothing in the cache.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and (lock or name != "dvc.lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    params = change(yaml.safe_load((folder / "params.yaml").read_text()))
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *name, "commit", "-qm", "start"], cwd=folder, check=True)
    return folder


def dvc(folder, *args, timeout=400):
    done = subprocess.run(
        [BIN / "dvc", *args], cwd=folder, env=ENV, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_pipeline_survives_a_killed_dvc_and_then_is_up_to_date(project):
    repro = subprocess.Popen(
        [BIN / "dvc", "repro"],
        cwd=project,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert repro.stdout is not None
    for line in repro.stdout:  # until the first epoch of the generator ends
        if line.lstrip("\r ").startswith("epoch 1  "):
            break
    repro.send_signal(signal.SIGKILL)  # of dvc alone: its stage has to notice
    repro.wait()
    until(lambda: not any("pretrain_generator" in args for args in _commands_in(project)))
    assert not (project / "models/pretrain_generator").exists()

    assert re.search(r"resuming after epoch \d\n", dvc(project, "repro"))
    figures = json.loads((project / "reports/metrics.json").read_text())
    assert {px: set(models) for px, models in figures.items()} == {
        "64": {"crappy", "generator"},
        "96": {"crappy", "pixel"},
    }
    figures = json.loads((project / "reports/comparison/metrics.json").read_text())
    assert set(figures) == {"64", "96", "critic"}
    for px, models in {
        "64": ("crappy", "generator", "gan"),
        "96": ("pixel", "feature"),
    }.items():
        for model in models:
            for measure in ("psnr", "psnr_gain", "ssim", "perceptual", "text_removed", "sharpness"):
                assert set(figures[px][model][measure]) == {"mean", "median", "low", "high"}
    assert figures["64"]["crappy"]["psnr_gain"]["mean"] == 0
    for name in ("reports/index.html", "reports/comparison/index.html"):
        page = (project / name).read_text()
        assert not re.search(r"(?:\bsrc|\bhref|url\()[=\s\"']*https?:", page)  # nothing is fetched
        assert "data:image/jpeg;base64," in page
        assert "<svg" in page
        assert ("the critic was right" in page) == ("comparison" in name)

    start = time.perf_counter()
    assert "Data and pipelines are up to date." in dvc(project, "repro")
    assert time.perf_counter() - start < 15


def _commands_in(folder):
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(folder):
                yield process.cmdline()


@pytest.mark.slow
def test_dvc_shows_metrics_plots_and_changed_params(project):
    assert "text_removed" in dvc(project, "metrics", "show", "--md")
    assert "index.html" in dvc(project, "plots", "show")
    params = project / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("pixel_weight: 100", "pixel_weight: 110"))
        assert "fit_gan.pixel_weight" in dvc(project, "params", "diff")
        status = json.loads(dvc(project, "status", "--json", "dvc.yaml"))
        assert set(status) == {"fit_gan"}  # nothing else depends on that number
    finally:
        params.write_text(text)


@pytest.mark.slow
def test_a_restorer_to_start_from_is_a_dependency_and_its_weights_are_the_first(project):
    start = project / "my_model"
    shutil.copytree(project / "models/fit_pixel", start, dirs_exist_ok=True)
    try:
        (status,) = json.loads(dvc(project, "status", "--json", "pretrain_generator")).values()
        assert status == [{"changed deps": {"my_model": "modified"}}]
        output = dvc(project, "repro", "--single-item", "--no-commit", "pretrain_generator")
        assert re.search(r"starts from \S*my_model: (\d+) of \1 tensors fit", output)
        rows = (project / "models/pretrain_generator/history.csv").read_text().splitlines()
        model = json.loads((project / "models/pretrain_generator/model.json").read_text())
        assert set(model["lineage"]["inputs"]) == {"pairs", "start"} and len(rows) > 2
    finally:
        for name in ("model.json", "model.safetensors", "history.csv"):
            (start / name).unlink()


STAGES = """
import json, sys, yaml
from pathlib import Path

(name,) = sys.argv[1:]
stage = yaml.safe_load(Path("lessons/dvc.yaml").read_text())["stages"][name]
content = json.dumps(yaml.safe_load(Path("params.yaml").read_text())[name])
for out in [*stage["outs"], *(path for metric in stage.get("metrics", []) for path in metric)]:
    Path(out).parent.mkdir(exist_ok=True)
    Path(out).write_text(content)
"""


@pytest.mark.slow
def test_a_number_changed_in_one_lesson_reruns_that_lesson_alone_and_the_page(tmp_path):
    folder = clone(tmp_path / "project", lambda params: params)
    (folder / "tasks/__main__.py").write_text(STAGES)  # which train nothing

    def rerun():
        output = dvc(folder, "repro", "lessons/dvc.yaml")
        return set(re.findall("Running stage 'lessons/dvc.yaml:(.+)'", output))

    lessons = {"digits", "streets", "bedrooms", "numbers"}
    assert rerun() == lessons | {f"{name}_data" for name in lessons} | {"lessons"}
    assert rerun() == set()
    params = folder / "params.yaml"
    for lesson, section, key in (("digits", "surface", "samples"), ("streets", "net", "head")):
        changed = yaml.safe_load(params.read_text())
        changed[lesson][section][key] += 1
        params.write_text(yaml.safe_dump(changed, sort_keys=False))
        assert rerun() == {lesson, "lessons"}


@pytest.mark.slow
def test_a_new_photo_in_the_folder_that_params_name_is_part_of_the_next_run(tmp_path):
    folder = {"source": "folder", "folder": "else where"}
    project = clone(
        tmp_path / "project", lambda params: params | {"download": params["download"] | folder}
    )
    (project / "else where").mkdir()
    for seed, name in enumerate(("a.jpg", "b.jpg")):
        make_picture(seed=seed).save(project / "else where" / name)
        assert "Running stage 'download'" in dvc(project, "repro", "download")
        assert (project / "data/photos" / name).is_file()
    assert "didn't change" in dvc(project, "repro", "download")


@pytest.mark.slow
def test_an_experiment_succeeds_in_a_clone_without_the_outputs_of_dvc_lock(tmp_path):
    folder = clone(tmp_path / "project", lambda params: params, lock=True)
    args = ("exp", "run", "-S", "numbers_data.train_until=7900", "lessons/dvc.yaml:numbers_data")
    assert "have been applied" in dvc(folder, *args)
    assert (folder / "data/numbers").is_dir()
