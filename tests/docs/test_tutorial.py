"""docs/tutorial.md, literally: its commands, in order, with the wheel and no checkout."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT, make_picture
from tests.wheel import build, copy_source, environment

PAGE = (ROOT / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"```(sh|python|yaml)\n(.*?)```", PAGE, re.DOTALL)
EXTRAS = ("onnx", "page", "pipeline")


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's first block installs."""
    source = copy_source(tmp_path_factory.mktemp("source"), ROOT / "lessonpipe/zoo/old-photo")
    wheel = build("wheel", source, tmp_path_factory.mktemp("wheel"))
    kind, install = BLOCKS[0]
    assert kind == "sh" and f'"{wheel.name}[{",".join(EXTRAS)}]"' in install
    return environment(tmp_path_factory.mktemp("venv"), wheel, EXTRAS)


def add_to_file(text: str, project: Path) -> None:
    """Put a block into the file that its first line names: code at the end, a recipe to others."""
    where, _, content = text.removeprefix("# ").partition("\n")
    name, _, line = where.partition(", below ")
    file = project / name
    if line:
        old = file.read_text()
        assert old.count(f"\n{line} ") == 1
        start = old.index("\n", old.index(f"\n{line} ") + 1) + 1
        file.write_text(old[:start] + content + old[start:])
    else:
        file.write_text(file.read_text() + "\n\n" + content)


def shorten(params: Path) -> None:
    """Give the training a tenth of the tiles, and the report a smaller picture to restore whole."""
    text = params.read_text()
    for old, new in (("60, valid: 12", "8, valid: 2"), ("[1280, 1600]", "[512, 640]")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    params.write_text(text)


@pytest.mark.slow
def test_every_command_of_the_tutorial_works(bin_folder: Path, tmp_path: Path) -> None:
    for folder, count in (("photos", 2), ("album", 2)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            picture = make_picture(400, 300, seed=number)
            picture.save(tmp_path / folder / f"{folder}{number}.jpg")
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    env = kept | {
        "PATH": f"{bin_folder}{os.pathsep}{Path(str(shutil.which('git'))).parent}:/usr/bin:/bin",
        "OMP_NUM_THREADS": "2",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "RAY_USAGE_STATS_ENABLED": "0",
        "DVC_NO_ANALYTICS": "1",
    }
    here, told = tmp_path, ""
    for kind, text in BLOCKS[1:]:
        if kind != "sh":
            add_to_file(text, here)
            continue
        for command in text.strip().splitlines():
            if command.startswith("cd "):
                here /= command.removeprefix("cd ")
                shorten(here / "params.yaml")
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=here,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=900,
            )
            told += done.stdout + done.stderr
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert here == tmp_path / "my-restorer"
    for name in ("album0.jpg", "album1.jpg"):
        assert Image.open(tmp_path / "restored" / name).size == (400, 300)
    assert "undoes: coffee rings, tape, JPEG compression" in told
    assert (here / "reports/index.html").is_file()
    status = subprocess.run(["git", "status", "--short"], cwd=here, capture_output=True, text=True)
    assert status.stdout == ""
