"""Progress events: JSON lines of a stage, live artifacts on a real Prefect server."""

import json

import pytest

from lessonpipe.io.progress import Done, Progress, parse_event
from tests.conftest import PATIENCE

STAGE = """
import sys, time
from pathlib import Path
from lessonpipe.io.progress import JsonLines, progress_bar
assert isinstance(progress_bar([], "empty"), JsonLines)
for _ in JsonLines(range(20), "epoch 1", mininterval=0, leave=False): time.sleep(0.25)
Path(f"{sys.argv[1]}.txt").write_text("")
"""
UPDATES = """
import os, time
from pathlib import Path
from flows import server
os.environ |= server.environment()
from flows.artifacts import ProgressArtifact
from lessonpipe.io.progress import Progress
artifact, start = ProgressArtifact("fit_gan"), time.monotonic()
for step in range(100):
    artifact.update(Progress("epoch 1", step, 100, "step", 50.0))
    artifact.update(Progress("unpack", step, None, "file", 50.0))
Path("seconds").write_text(str(time.monotonic() - start))
"""
BAR = """
from lessonpipe.io.progress import JsonLines, TextLines
for kind in (TextLines, JsonLines):
    for _ in kind(range(3), 'epoch 1', unit=' step', mininterval=0, leave=False): pass
"""


@pytest.mark.slow
def test_a_running_stage_shows_its_percent_and_ends_at_a_hundred(project):
    (project.folder / "stage.py").write_text(STAGE)
    process = project.command("-m", "flows", "run", "a")
    (early,) = project.until(lambda: project.artifacts("a-progress"))
    assert early["type"] == "progress" and early["data"] < 100
    assert early["description"].startswith("a, epoch 1: ")
    assert early["task_run_id"] and early["flow_run_id"]
    percents = {early["data"]}
    while process.poll() is None:
        percents |= {now["data"] for now in project.artifacts("a-progress")}
    run = project.finish(process)
    assert run.code == 0, run.output
    (last,) = project.artifacts("a-progress")  # one a run
    assert (last["data"], last["description"]) == (100, "a: done")
    assert 2 < len(percents) < 10  # of twenty steps in five seconds
    log = project.log(run.id)
    assert "epoch 1: 20/20 it, " in log and "{" not in log  # in words


@pytest.mark.slow
def test_many_updates_are_few_requests(project):
    project.command("-c", UPDATES).communicate(timeout=PATIENCE)
    (artifact,) = project.artifacts("fit-gan-progress")
    assert artifact["description"] == "fit_gan, epoch 1: 0/100 step, 50.00 a second, 2 s left"
    assert float((project.folder / "seconds").read_text()) < 5  # one request


@pytest.mark.slow
def test_a_server_that_does_not_answer_fails_no_run(project):
    project.url = "http://127.0.0.1:9"
    process = project.command("-c", UPDATES)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def test_each_state_of_a_bar_is_a_line_of_its_own(local_project):
    output, _ = local_project.command("-c", BAR).communicate(timeout=PATIENCE)
    lines = [line for line in output.split("\n") if line.strip()]
    assert [line[:13] for line in lines[:4]] == [
        "epoch 1:   0%",
        "epoch 1:  33%",
        "epoch 1:  67%",
        "epoch 1: 100%",
    ]
    events = [parse_event(line) for line in lines[4:]]
    assert [event.n for event in events] == [0, 1, 2, 3]
    assert (events[3].title, events[3].total, events[3].unit) == ("epoch 1", 3, "step")


PROGRESS = Progress("epoch 1", 40, 100, "step", None)


@pytest.mark.parametrize(
    "before", ["", "(pid=12) ", "\x1b[36m(RayTrainWorker pid=1, ip=::1)\x1b[0m "]
)
@pytest.mark.parametrize("after", ["", "\x1b[32m [repeated 2x across cluster]\x1b[0m"])
def test_an_event_is_found_in_what_ray_makes_of_its_line(before, after):
    fields = {"title": "epoch 1", "n": 40, "total": 100, "unit": "step", "rate": None}
    line = f"{before}{json.dumps({'progress': fields})}{after}"
    assert parse_event(line) == PROGRESS and PROGRESS.percent == 40
    assert parse_event('{"done": {"stage": "a", "seconds": 3.2}}') == Done("a", 3.2)


@pytest.mark.parametrize(
    "line",
    ["epoch 1  px 128", "{", "{'loss': 3}", '{"loss": 3}', '{"done": 3}', "{}", '{"done": {}}'],
)
def test_other_lines_are_no_events(line):
    assert parse_event(line) is None
