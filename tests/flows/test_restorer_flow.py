import base64
import io
import json
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(seed, url, tmp_path_factory, project_class):
    """A project, its first run and a second one that had nothing to do."""
    folder = shutil.copytree(seed, tmp_path_factory.mktemp("finished") / "project")
    project = project_class(folder, url)
    return project, project.run(), project.run("--side-by-side", "2")


def test_a_run_brings_every_stage_up_to_date_in_order(finished):
    _, run, _ = finished
    assert run.code == 0, run.said
    tasks = sorted(run.tasks().values(), key=lambda task: task["start_time"])
    assert [task["name"] for task in tasks] == ["a", "c", "b", "evaluate"]
    assert {task["state_name"] for task in tasks} == {"Completed"}
    for task, later in pairwise(tasks):  # one at a time
        assert task["end_time"] <= later["start_time"]


def test_after_a_run_dvc_repro_at_a_desk_has_nothing_to_do(finished):
    project, _, _ = finished
    assert "Data and pipelines are up to date" in project.dvc("repro")


def test_a_stage_that_dvc_finds_unchanged_shows_as_cached(finished):
    _, _, again = finished
    states = {name: task["state"] for name, task in again.tasks().items()}
    assert {state["name"] for state in states.values()} == {"Cached"}
    assert states["a"]["message"] == "Stage 'a' didn't change, skipping"
    assert again.state()["name"] == "Completed"


def test_what_a_stage_says_reaches_its_log_line_by_line(finished):
    project, run, _ = finished
    asked = {"logs": {"task_run_id": {"any_": [run.tasks()["b"]["id"]]}}, "sort": "TIMESTAMP_ASC"}
    said = [line["message"] for line in project.api("POST", "logs/filter", asked)]
    steps = [line for line in said if line.startswith("b: ")]
    assert steps == ["b: step 1", "b: step 2", "b: step 3"]


def test_pictures_and_measures_show_as_artifacts_once(finished):
    project, run, again = finished
    made = artifacts(project, run)
    assert set(made) == {f"evaluate-{name}" for name in ("grid", "metrics", "film", "curve")}
    assert made["evaluate-grid"].startswith("![grid.jpg](data:image/jpeg;base64,")
    assert (project.folder / "grid.jpg").stat().st_size > 500_000 > len(made["evaluate-grid"])
    assert json.loads(made["evaluate-metrics"]) == [{"measure": "128 gan psnr", "value": 31.4159}]
    assert artifacts(project, again) == {}  # the same are shown already


def test_what_a_lessons_folder_shows_is_among_them(finished):
    project, run, _ = finished
    made = artifacts(project, run)
    curve = inside(made["evaluate-curve"], "![curve.svg](data:image/svg+xml;base64,")
    assert curve == (project.folder / "lesson/curve.svg").read_bytes()
    film = inside(made["evaluate-film"], "![film.webp](data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(film)).getpixel((4, 4)) == (255, 255, 255)  # as it ends


def inside(markdown: str, start: str) -> bytes:
    assert markdown.startswith(start)
    return base64.b64decode(markdown.removeprefix(start).removesuffix(")"))


def artifacts(project, run) -> dict[str, str]:
    asked = {"artifacts": {"flow_run_id": {"any_": [run.id]}}}
    return {a["key"]: a["data"] for a in project.api("POST", "artifacts/filter", asked)}


def test_a_failed_stage_fails_the_run_in_its_own_words_and_what_depends_on_it_does_not_run(project):
    trouble(project, "b", 2, "b: data/photos holds no pictures")
    run = project.run()
    assert run.code == 1
    assert run.state()["type"] == "FAILED"
    assert (
        "b: data/photos holds no pictures (not run because of it: evaluate)"
        in (run.state()["message"])
    )
    tasks = run.tasks()
    assert {name: t["state_type"] for name, t in tasks.items()} == {
        "a": "COMPLETED",
        "b": "FAILED",
        "c": "COMPLETED",
    }
    assert tasks["b"]["run_count"] == 1  # trying again would not mend it


def test_a_stage_that_crashes_once_is_tried_again(project):
    trouble(project, "a", 1, "ConnectionError: reset", once=True)
    run = project.run("a")
    assert run.code == 0, run.said
    assert run.tasks()["a"]["run_count"] == 2


def test_a_run_waits_for_a_dvc_command_at_the_desk(project):
    project.slow(a=5)
    desk = project.command("-m", "dvc", "repro", "a")
    project.until(lambda: project.stage_runs("a"))
    run = project.run("a")
    assert desk.wait(20) == 0
    assert run.code == 0, run.said
    assert run.tasks()["a"]["run_count"] > 1
    assert run.tasks()["a"]["state_name"] == "Cached"  # the desk had done it


def test_one_stage_is_tried_again_by_its_name_and_no_other(project):
    trouble(project, "b", 2, "b: the disk is full", once=True)
    assert project.run().code == 1
    made = (project.folder / "c.txt").read_text()
    again = project.run("b")
    assert again.code == 0, again.said
    states = {name: task["state_name"] for name, task in again.tasks().items()}
    assert states == {"a": "Cached", "b": "Completed"}
    assert (project.folder / "c.txt").read_text() == made
    assert not (project.folder / "evaluate.txt").exists()


def test_independent_stages_run_side_by_side_when_asked(project):
    project.slow(b=2, c=2)
    run = project.run("--side-by-side", "2", "b", "c")
    assert run.code == 0, run.said
    b, c = (
        [float(time) for time in (project.folder / f"{name}.txt").read_text().split()]
        for name in "bc"
    )
    assert min(b[1], c[1]) > max(b[0], c[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_and_nothing_half_written(project, number):
    project.slow(b=2 * PATIENCE, c=2 * PATIENCE)
    process = project.command("-m", "flows", "run", "--side-by-side", "2")
    project.until(lambda: project.stage_runs("b") and project.stage_runs("c"))
    process.send_signal(number)
    process.wait(20)
    project.until(lambda: not project.processes(), 15)
    assert (project.folder / "a.txt").exists()
    assert not [file for file in project.folder.iterdir() if file.name[:3] in ("b.t", "c.t")]
    project.slow()
    assert "Running stage 'b'" in project.dvc("repro")


def test_a_wrong_stage_name_is_told_before_anything_starts(desk):
    run = desk.run("nope")
    assert run.code == 2
    assert run.said == "flows: no stage is called 'nope'; choose one of: a, b, c, evaluate\n"
    assert not (desk.folder / ".lessonpipe").exists()


def test_a_run_without_a_server_starts_one_and_ends_it(settled):
    run = settled.run("a")
    assert run.code == 0, run.said
    assert "Flow run" in run.said
    assert not settled.processes()


def trouble(project, stage: str, code: int, words: str, once: bool = False) -> None:
    """Let a stage fail."""
    Path(project.folder / f"{stage}.trouble").write_text(json.dumps([code, words, once]))
