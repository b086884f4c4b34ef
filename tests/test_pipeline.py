"""All stages, end to end, through a real DVC: cut short, killed, gone on with, up to date."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import make_picture

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENV = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "LESSONPIPE_DEVICE": "cpu",
}


def cut_short(params: dict) -> dict:
    """Little of everything, in the sample's own shape."""
    params["download"]["limit"] = 8
    params["crappify"]["tiles"] = {"tile_px": 160, "train": 4, "valid": 2}
    params["pretrain_generator"] |= {"widths": [16, 16, 8, 8], "head": 8}
    for stage in ("pretrain_generator", "fit_feature"):
        for phase in params[stage]["phases"]:
            phase |= {"image_px": min(128, phase["image_px"]), "epochs": 2, "pictures": 8}
    params["fit_feature"]["phases"][-1] |= {"image_px": 160, "batch": 4}
    params["save_preds"]["image_px"] = 128
    params["pretrain_critic"]["phases"][0] |= {"epochs": 1, "pictures": 8}
    params["fit_gan"] |= {"epochs": 2, "pictures": 16, "batch": 4, "samples": 2}
    params["evaluate"]["evaluations"][1]["image_px"] = 160
    return params


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone in which little of everything is done."""
    return clone(tmp_path_factory.mktemp("clone") / "project", cut_short)


def clone(folder, change, lock=False):
    """The project's tracked files as they are now, in a git and DVC of their own.

    With `lock` it says what was made elsewhere, as any clone does; none of it is in the cache.
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


def dvc(folder, *words, timeout=400):
    done = subprocess.run(
        [BIN / "dvc", *words], cwd=folder, env=ENV, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
def test_the_whole_pipeline_survives_a_killed_dvc_and_then_is_up_to_date(project):
    repro = subprocess.Popen(
        [BIN / "dvc", "repro"],
        cwd=project,
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert repro.stdout is not None
    for line in repro.stdout:  # until an epoch of the generator is done
        if line.lstrip("\r ").startswith("epoch 1  "):
            break
    repro.send_signal(signal.SIGKILL)  # of dvc alone: its stage has to notice
    repro.wait()
    time.sleep(1.5)
    assert not [words for words in _commands_in(project) if "pretrain_generator" in words]
    assert not (project / "models/pretrain_generator").exists()

    assert "going on after epoch 1" in dvc(project, "repro")
    figures = json.loads((project / "reports/metrics.json").read_text())
    assert set(figures) == {"128", "160", "critic"}
    for px, models in {
        "128": ("crappy", "generator", "gan"),
        "160": ("control", "feature"),
    }.items():
        for model in models:
            for measure in ("psnr", "psnr_gain", "ssim", "perceptual", "text_removed", "sharpness"):
                assert set(figures[px][model][measure]) == {"mean", "median", "low", "high"}
    assert figures["128"]["crappy"]["psnr_gain"]["mean"] == 0
    page = (project / "reports/index.html").read_text()
    assert not re.search(r"(?:\bsrc|\bhref|url\()[=\s\"']*https?:", page)  # nothing is fetched
    assert "data:image/jpeg;base64," in page
    assert "<svg" in page

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
        assert set(status) == {"fit_gan"}  # nothing else is made of that number
    finally:
        params.write_text(text)


DOOR = """
import json, sys, yaml
from pathlib import Path

(name,) = sys.argv[1:]
stage = yaml.safe_load(Path("lessons/dvc.yaml").read_text())["stages"][name]
asked = json.dumps(yaml.safe_load(Path("params.yaml").read_text())[name])
for out in [*stage["outs"], *(path for metric in stage.get("metrics", []) for path in metric)]:
    Path(out).parent.mkdir(exist_ok=True)
    Path(out).write_text(asked)
"""


@pytest.mark.slow
def test_a_number_changed_in_one_lesson_reruns_that_lesson_alone_and_the_page(tmp_path):
    folder = clone(tmp_path / "project", lambda params: params)
    (folder / "tasks/__main__.py").write_text(DOOR)  # which trains nothing

    def rerun():
        said = dvc(folder, "repro", "lessons/dvc.yaml")
        return set(re.findall("Running stage 'lessons/dvc.yaml:(.+)'", said))

    lessons = {"digits", "streets", "bedrooms", "numbers"}
    assert rerun() == lessons | {f"{name}_data" for name in lessons} | {"lessons"}
    assert rerun() == set()
    params = folder / "params.yaml"
    for lesson, section, key in (("digits", "surface", "digits"), ("streets", "widths", 0)):
        changed = yaml.safe_load(params.read_text())
        changed[lesson][section][key] += 1
        params.write_text(yaml.safe_dump(changed, sort_keys=False))
        assert rerun() == {lesson, "lessons"}


@pytest.mark.slow
def test_a_new_photo_in_the_folder_that_params_name_is_taken_by_the_next_run(tmp_path):
    folder = {"source": "folder", "folder": "else where"}
    project = clone(
        tmp_path / "project", lambda params: params | {"download": params["download"] | folder}
    )
    (project / "else where").mkdir()
    for name in ("a.jpg", "b.jpg"):
        make_picture().save(project / "else where" / name)
        assert "Running stage 'download'" in dvc(project, "repro", "download")
        assert (project / "data/photos" / name).is_file()
    assert "didn't change" in dvc(project, "repro", "download")


@pytest.mark.slow
def test_an_experiment_ends_well_in_a_clone_that_lacks_what_was_made_elsewhere(tmp_path):
    folder = clone(tmp_path / "project", lambda params: params, lock=True)
    asked = ("exp", "run", "-S", "numbers_data.until=7900", "lessons/dvc.yaml:numbers_data")
    assert "have been applied" in dvc(folder, *asked)
    assert (folder / "data/numbers").is_dir()
