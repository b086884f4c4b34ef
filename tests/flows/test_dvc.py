"""The stages of dvc.yaml, their order and their errors, by the real DVC."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from flows import dvc
from lessonpipe.errors import LessonpipeError, UserError
from tests.test_imports import imports

ROOT = Path(dvc.__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC's


@pytest.fixture
def here(local_project, monkeypatch):
    monkeypatch.chdir(local_project.folder)
    return local_project


def test_the_stages_and_their_order_are_those_of_dvc_yaml(here):
    found = dvc.read_stages()
    assert list(found) == ["a", "c", "b", "evaluate"]
    assert set(found["evaluate"].needs) == {"b", "c"}
    assert [p.name for p in found["evaluate"].images] == ["grid.jpg"]
    assert [p.name for p in found["evaluate"].metrics] == ["metrics.json"]


def test_every_stage_of_this_project_comes_after_those_it_needs(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = list(dvc.read_stages().values())
    assert found
    for i, stage in enumerate(found):
        assert set(stage.needs) <= {before.name for before in found[:i]}


def test_a_selection_includes_what_its_stages_depend_on(here):
    found = dvc.read_stages()
    assert list(dvc.select_stages(found, ["b"])) == ["a", "b"]
    assert list(dvc.select_stages(found)) == list(found)


def test_a_stage_of_another_file_runs_when_it_is_named_and_not_with_all(here):
    (here.folder / "more").mkdir()
    more = {
        "cmd": "python stage.py d 0",
        "wdir": "..",
        "deps": ["a.txt"],
        "outs": ["d.txt"],
    }
    (here.folder / "more/dvc.yaml").write_text(yaml.safe_dump({"stages": {"d": more}}))
    found = dvc.read_stages()
    assert (found["d"].target, found["d"].needs) == ("more/dvc.yaml:d", ("a",))
    assert list(dvc.select_stages(found, ["d"])) == ["a", "d"]
    assert "d" not in dvc.select_stages(found)
    lines = []

    def run(name):
        return dvc.StageRunner().run(found[name].target, lambda line, event: lines.append(line))

    run("a")
    assert run("d") is None, lines
    assert "skipping" in run("d")


def test_a_wrong_stage_name_is_an_error_that_lists_the_right_ones(here):
    with pytest.raises(UserError, match="no stage is called 'nope'; choose one of: a, b, c, eval"):
        dvc.select_stages(dvc.read_stages(), ["a", "nope"])


def test_a_broken_dvc_yaml_is_an_error_in_a_sentence(here):
    (here.folder / "dvc.yaml").write_text("stages: {a: {comd: x}}")
    with pytest.raises(LessonpipeError, match="DVC cannot read the stages"):
        dvc.read_stages()


ENDED = "ERROR: failed to reproduce 'a': failed to run: python stage.py a, exited with {}"


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        (["> cmd", "a: no pictures", ENDED.format(2)], dvc.StageError, "a: no pictures"),
        (["> cmd", "KeyError: 3", ENDED.format(1)], dvc.CrashError, "a: KeyError: 3"),
        (["> cmd", ENDED.format(-9)], dvc.CrashError, "exited with -9"),
        (["ERROR: Unable to acquire lock. Most likely"], dvc.BusyError, "another DVC command"),
        (["ERROR: '/x/a' is busy, it is being blocked by:"], dvc.BusyError, "another DVC"),
        (["ERROR: missing data 'source': x"], dvc.StageError, "a: missing data 'source': x"),
        ([], dvc.StageError, "dvc ended with code 1"),
    ],
)
def test_an_error_has_the_last_line_and_the_kind_that_says_whether_to_retry(lines, kind, message):
    error = dvc.stage_error("a", lines, 1)
    assert type(error) is kind
    assert message in str(error)


@pytest.mark.slow
def test_stopping_ends_the_stage_and_lets_no_other_start(here, monkeypatch):
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    here.hold("a")
    runs, errors = dvc.StageRunner(), []

    def work() -> None:
        try:
            runs.run("a", lambda *_: None)
        except dvc.StageError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    here.until(lambda: here.stage_runs("a"))
    runs.stop()
    thread.join(10)
    assert not here.processes()
    assert isinstance(errors[0], dvc.StoppedError)
    assert not (here.folder / "a.txt").exists()
    with pytest.raises(dvc.StoppedError):
        runs.run("a", lambda *_: None)
    here.release("a")
    assert "Running stage 'a'" in here.dvc("repro", "a")


def test_flows_import_neither_torch_nor_ray():
    for file in (ROOT / "flows").rglob("*.py"):
        tops = {module.split(".")[0] for module, _ in imports(file)}
        assert not tops & {"torch", "torchvision", "ray"}, file


@pytest.mark.slow
def test_the_flow_is_loaded_without_torch():
    code = "import sys, flows.restorer; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
