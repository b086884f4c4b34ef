"""A dotted path finds a step of a file that somebody named, and no other function of Python's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lessonpipe.app.cli import main
from lessonpipe.crappify import Recipe
from lessonpipe.crappify.own_steps import use_steps
from lessonpipe.errors import UserError
from tests.conftest import ROOT, make_picture

STEPS = """
import json, os
from os import system
from dataclasses import dataclass
import helper
from lessonpipe.crappify import Random, Step
from lessonpipe.data.photos import to_rgb
assert json.dumps([1]) == "[1]"

class Dim(Step):
    by: "Amount" = 2
    def __call__(self, picture, rng): return picture.point(lambda value: value // self.by)

Amount = int
def half(picture, rng): return picture.point(lambda value: value // helper.TWO)
class Plain: pass
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with steps of its own, and files that have the names of modules."""
    (tmp_path / "my_steps.py").write_text(STEPS)
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "helper.py").write_text("TWO = 2\n")
    for name in ("torch", "numpy", "json", "yaml", "PIL", "tasks", "lessonpipe"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'a').write(__name__)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_functions_and_step_classes_of_the_projects_file_are_steps(project: Path) -> None:
    before = list(sys.path)
    pictures = [
        Recipe([f"my_steps.{name}"]).degrade(make_picture(), "a") for name in ("half", "Dim")
    ]
    assert pictures[0] == pictures[1] == make_picture().point(lambda value: value // 2)
    assert sys.path == before and not (project / "ran").exists()
    (project / "my_steps.py").write_text("def half(picture, rng): return picture.rotate(90)\n")
    assert Recipe(["my_steps.half"]).degrade(make_picture(), "a") == make_picture().rotate(90)


@pytest.mark.parametrize(
    "path",
    [
        *("os.system", "builtins.exec", "subprocess.run", "shutil.rmtree", "antigravity.fly"),
        *("my_steps.system", "my_steps.os.system", "my_steps.to_rgb", "my_steps.Plain"),
        *("my_steps.Amount", "my_steps.helper", "my_steps.__loader__", "my_steps.__class__"),
        *(
            "my_steps.half.__globals__",
            "lessonpipe.crappify.steps.grey.Grey",
            ".system",
            "my_steps.",
        ),
    ],
)
def test_nothing_else_can_be_called_by_a_dotted_path(path: str, project: Path) -> None:
    loaded = set(sys.modules)
    with pytest.raises(UserError, match=r"is not (known|a step)"):
        Recipe([{path: {}}])
    assert "antigravity" not in set(sys.modules) - loaded and not (project / "ran").exists()


def test_a_file_that_lies_there_without_a_project_is_not_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "my_steps.py").write_text("open('ran', 'a')\n")
    (project / "params.yaml").unlink()
    (project / "theirs.yaml").write_text("- my_steps.half\n")
    make_picture().save("photo.png")
    assert main(["crappify", "photo.png", "-o", "out", "--recipe", "theirs.yaml"]) == 2
    told = capsys.readouterr().err
    assert "'my_steps.half' is not known" in told and not (project / "ran").exists()


def test_a_file_that_is_named_may_be_called_like_any_module(project: Path) -> None:
    (project / "numpy.py").write_text("def dim(picture, rng): return picture.point(lambda v: 0)\n")
    use_steps(Path("numpy.py"))
    assert Recipe(["numpy.dim"]).degrade(make_picture(), "a").getextrema() == ((0, 0),) * 3
    assert sys.modules["numpy"].__file__ != str(project / "numpy.py")
    for wrong in ("none.py", "params.yaml", "1.py", "."):
        with pytest.raises(UserError, match="no Python file that holds steps"):
            use_steps(Path(wrong))


@pytest.mark.parametrize("words", ["crappify photo.png -o out", "preview photo.png"])
def test_no_file_of_the_working_folder_hides_a_module(words: str, project: Path) -> None:
    make_picture(320, 300).save(project / "photo.png")
    (project / "mine.yaml").write_text("- my_steps.half\n")
    (project / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    code = (
        "import sys; from lessonpipe.app.cli import main; before = list(sys.path)\n"
        "code = main(sys.argv[1:]); assert sys.path == before; raise SystemExit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words.split(), "--recipe", "mine.yaml"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # -P: as an installed script, no folder added
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (project / "ran").exists()
