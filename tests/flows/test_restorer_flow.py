"""The flow `restorer`: order, caching, artifacts, failures, retries, and its end by a signal."""

import base64
import io
import json
import signal
from itertools import pairwise

import pytest
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(shared_project):
    """A project, its first run and a second one that had nothing to do."""
    return shared_project, shared_project.run(), shared_project.run("--side-by-side", "2")


def test_a_run_brings_every_stage_up_to_date_in_order(finished):
    project, run, _ = finished
    assert run.code == 0, run.output
    tasks = sorted(run.tasks().values(), key=lambda task: task["start_time"])
    assert [task["name"] for task in tasks] == ["a", "c", "b", "evaluate"]
    assert {task["state_name"] for task in tasks} == {"Completed"}
    for task, later in pairwise(tasks):  # one at a time
        assert task["end_time"] <= later["start_time"]
    assert "Data and pipelines are up to date" in project.dvc("repro")


def test_a_stage_that_dvc_finds_unchanged_shows_as_cached(finished):
    _, _, again = finished
    states = {name: task["state"] for name, task in again.tasks().items()}
    assert {state["name"] for state in states.values()} == {"Cached"}
    assert states["a"]["message"] == "Stage 'a' didn't change, skipping"
    assert again.state()["name"] == "Completed"


def test_a_stages_output_is_in_its_log_line_by_line(finished):
    project, run, _ = finished
    query = {"logs": {"task_run_id": {"any_": [run.tasks()["b"]["id"]]}}, "sort": "TIMESTAMP_ASC"}
    lines = [line["message"] for line in project.api("POST", "logs/filter", query)]
    steps = [line for line in lines if line.startswith("b: ")]
    assert steps == ["b: step 1", "b: step 2", "b: step 3"]


def test_images_and_metrics_are_artifacts_once(finished):
    project, run, again = finished
    found = artifacts(project, run)
    assert set(found) == {f"evaluate-{name}" for name in ("grid", "metrics", "film", "curve")}
    assert found["evaluate-grid"].startswith("![grid.jpg](data:image/jpeg;base64,")
    assert (project.folder / "grid.jpg").stat().st_size > 500_000 > len(found["evaluate-grid"])
    assert json.loads(found["evaluate-metrics"]) == [{"measure": "128 gan psnr", "value": 31.4159}]
    assert artifacts(project, again) == {}  # the same are shown already


def test_the_plots_of_a_lessons_result_are_artifacts(finished):
    project, run, _ = finished
    found = artifacts(project, run)
    curve = decoded(found["evaluate-curve"], "![curve.svg](data:image/svg+xml;base64,")
    assert curve == (project.folder / "lesson/curve.svg").read_bytes()
    film = decoded(found["evaluate-film"], "![film.webp](data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(film)).getpixel((4, 4)) == (255, 255, 255)  # the last frame


def decoded(markdown: str, start: str) -> bytes:
    assert markdown.startswith(start)
    return base64.b64decode(markdown.removeprefix(start).removesuffix(")"))


def artifacts(project, run) -> dict[str, str]:
    query = {"artifacts": {"flow_run_id": {"any_": [run.id]}}}
    return {a["key"]: a["data"] for a in project.api("POST", "artifacts/filter", query)}


def test_a_crash_is_retried_a_failure_is_not_and_only_stages_that_need_it_are_left_out(project):
    project.fail("a", 1, "ConnectionError: reset", once=True)
    project.fail("b", 2, "b: data/photos holds no pictures", once=True)
    run = project.run()
    assert run.code == 1
    assert run.state()["type"] == "FAILED"
    message = "b: data/photos holds no pictures (not run because of it: evaluate)"
    assert message in run.state()["message"]
    tasks = run.tasks()
    assert {name: t["state_type"] for name, t in tasks.items()} == {
        "a": "COMPLETED",
        "b": "FAILED",
        "c": "COMPLETED",
    }
    assert tasks["a"]["run_count"] == 2
    assert tasks["b"]["run_count"] == 1  # a retry would not mend it

    before = (project.folder / "c.txt").read_text()
    again = project.run("b")  # by its name, and no other
    assert again.code == 0, again.output
    states = {name: task["state_name"] for name, task in again.tasks().items()}
    assert states == {"a": "Cached", "b": "Completed"}
    assert (project.folder / "c.txt").read_text() == before
    assert not (project.folder / "evaluate.txt").exists()


def test_a_run_waits_for_a_dvc_command_of_a_person(project):
    project.hold("a")
    repro = project.command("-m", "dvc", "repro", "a")
    project.until(lambda: project.stage_runs("a"))
    process = project.command("-m", "flows", "run", "a")
    query = {"task_runs": {"state": {"name": {"any_": ["AwaitingRetry"]}}}}
    project.until(lambda: project.api("POST", "task_runs/filter", query))
    project.release("a")
    assert repro.wait(20) == 0
    run = project.finish(process)
    assert run.code == 0, run.output
    assert run.tasks()["a"]["run_count"] > 1
    assert run.tasks()["a"]["state_name"] == "Cached"  # the person's command had run it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_process_and_nothing_half_written(project, number):
    project.hold("b", "c")
    process = project.command("-m", "flows", "run", "--side-by-side", "2")
    project.until(lambda: project.stage_runs("b") and project.stage_runs("c"))
    process.send_signal(number)
    process.wait(20)
    project.until(lambda: not project.processes(), 15)
    assert (project.folder / "a.txt").exists()
    assert not [file for file in project.folder.iterdir() if file.name in ("b.txt", "c.txt")]
    project.release("b", "c")
    assert "Running stage 'b'" in project.dvc("repro", "b")


Z_AND_Y = """
  z:
    cmd: python stage.py z
    outs: [z.txt]
  y:
    cmd: python stage.py y
    deps: [z.txt]
    outs: [y.txt]
"""


def test_a_stage_that_waits_for_another_takes_no_place_from_one_that_could_run(project):
    with (project.folder / "dvc.yaml").open("a") as file:
        file.write(Z_AND_Y.lstrip("\n"))  # the order is a, z, b, y
    project.hold("a", "y")
    process = project.command("-m", "flows", "run", "--side-by-side", "2", "b", "y")
    project.until(lambda: project.stage_runs("a") and project.stage_runs("y"))  # not b, for a
    project.release("a", "y")
    assert project.finish(process).code == 0


def test_a_wrong_stage_name_is_an_error_before_anything_starts(local_project):
    run = local_project.run("nope")
    assert run.code == 2
    assert run.output == "flows: no stage is called 'nope'; choose one of: a, b, c, evaluate\n"
    assert not (local_project.folder / ".lessonpipe").exists()


def test_a_run_without_a_server_starts_one_and_ends_it(project_with_database):
    run = project_with_database.run("a")
    assert run.code == 0, run.output
    assert "Flow run" in run.output
    assert not project_with_database.processes()
