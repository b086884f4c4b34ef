"""Who may import whom, by the syntax tree; and dvc.yaml knows what a stage is made of."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.sources import PLUMBING, sources

LESSONS = yaml.safe_load((ROOT / "lessons/dvc.yaml").read_text())["stages"]
UPPER = ("tasks", "flows", "lessons")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] | LESSONS


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Each module that a file imports, and whether within a function; type hints' are left out."""

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full"
            yield node.module or "", inside
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    return walk(ast.parse(file.read_text()), False)


def strings(file: Path) -> Iterator[str]:
    """The string literals of a file but for docstrings."""
    tree = ast.parse(file.read_text())
    statements = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in statements
        ):
            yield node.value


def imported(folder: str) -> Iterator[tuple[str, str, bool]]:
    """File, the root of what it imports, and whether within a function."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for module, inside in imports(file):
            yield file.relative_to(ROOT).as_posix(), module.split(".")[0], inside


def test_the_core_knows_neither_engines_nor_stages() -> None:
    found = list(imported("lessonpipe"))
    assert len(found) > 100
    wrong = [(f, m, inside) for f, m, inside in found if m in ("prefect", "dvc", *UPPER)]
    assert all(f.startswith("lessonpipe/app/") and m in UPPER and inside for f, m, inside in wrong)


def test_the_core_but_for_its_commands_does_not_name_the_projects_files_and_stages() -> None:
    names = ("dvc repro", "dvc.yaml", "params.yaml", "make run", "models/fit_pixel", "tasks/")
    for file in sorted((ROOT / "lessonpipe").rglob("*.py")):
        if not file.is_relative_to(ROOT / "lessonpipe/app"):
            found = [text for text in strings(file) if any(name in text for name in names)]
            assert found == [], file


def test_ray_is_known_in_one_room_and_only_in_its_functions() -> None:
    uses = [(file, inside) for file, module, inside in imported("lessonpipe") if module == "ray"]
    uses += [(file, inside) for file, module, inside in imported("tasks") if module == "ray"]
    assert uses and all(file.startswith("lessonpipe/cluster/") and inside for file, inside in uses)


def test_stages_know_neither_prefect_nor_dvc_nor_flows() -> None:
    found = list(imported("tasks"))
    assert len(found) > 50
    assert [(f, m) for f, m, _ in found if m in ("prefect", "dvc", "flows")] == []
    own = {f"tasks/{stage}.py" for stage in LESSONS}
    assert {f for f, m, _ in found if m == "lessons"} <= own, "the restorer needs no lesson"


def test_lessons_know_neither_stages_nor_engines_nor_each_other() -> None:
    for folder in ("digits", "streets", "bedrooms", "numbers"):
        found = [(f, m) for f in (ROOT / "lessons" / folder).glob("*.py") for m, _ in imports(f)]
        for file, module in found:
            top, _, rest = module.partition(".")
            assert top not in ("prefect", "dvc", "ray", "tasks", "flows"), (file, module)
            room = rest.partition(".")[0]
            assert top != "lessons" or room in (folder, "sweep"), (file, module)


def test_every_stage_of_dvc_is_the_door_with_its_name() -> None:
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"python -m tasks {name}"
        assert f"tasks/{name}.py" in stage["deps"]


def unlisted(stage: str, files: set[str]) -> list[str]:
    """Which of `files` the stage's deps do not hold, by name or by folder."""
    deps = STAGES[stage]["deps"]
    return sorted(
        file
        for file in files - PLUMBING
        if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)
    )


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_knows_every_file_that_a_stage_is_made_of(stage: str) -> None:
    files = set(sources(f"tasks.{stage}"))
    assert f"tasks/{stage}.py" in files
    assert unlisted(stage, files) == []


LOADED = """
import importlib, json, os, sys
import torch, timm, yaml  # loaded once, before the forks
answers = {}
for stage in sys.argv[1:]:
    read, write = os.pipe()
    if os.fork() == 0:
        importlib.import_module(f"tasks.{stage}")
        names = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]
        rooms = ("lessonpipe", "lessons", "tasks")
        ours = tuple(os.path.join(os.getcwd(), name, "") for name in rooms)
        os.write(write, json.dumps([name for name in names if name.startswith(ours)]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        answers[stage] = json.load(stream)
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_dvc_knows_every_file_that_python_really_loads_for_a_stage() -> None:
    words = [sys.executable, "-c", LOADED, *STAGES]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    for stage, names in json.loads(done.stdout).items():
        code = [name for name in names if len(ast.parse(Path(name).read_text()).body) > 1]
        files = {Path(name).relative_to(ROOT).as_posix() for name in code}
        assert f"tasks/{stage}.py" in files
        assert unlisted(stage, files) == []
        assert files - PLUMBING <= set(sources(f"tasks.{stage}")), stage


def test_the_command_starts_where_python_has_no_posix_modules() -> None:
    lacks = "import sys; sys.modules |= dict.fromkeys(('fcntl', 'grp', 'pwd')); "
    starts = "import lessonpipe.app.cli, lessonpipe.cluster.session, lessonpipe.inference.decoder"
    subprocess.run([sys.executable, "-c", lacks + starts], check=True)
