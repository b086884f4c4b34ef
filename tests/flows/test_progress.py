"""How far a stage is, as Prefect shows it: its own bars, on a real server."""

import pytest

from tests.conftest import PATIENCE

pytestmark = pytest.mark.slow

STAGE = """
import sys, time
from pathlib import Path
from lessonpipe.io.progress import Lines
for _ in Lines(range(20), "epoch 1", mininterval=0, leave=False): time.sleep(0.25)
Path(f"{sys.argv[1]}.txt").write_text("")
"""
HEAR = """
import os, time
from pathlib import Path
from flows import server
os.environ |= server.environment()
from flows.artifacts import Progress
progress, start = Progress("fit_gan"), time.monotonic()
for step in range(100):
    progress.hear(f"epoch 1: {step:3d}%|##   | {step}/100 [00:01<00:02, 50.00 step/s]")
    progress.hear("epoch 1  px 128  valid_psnr 30.1")
Path("seconds").write_text(str(time.monotonic() - start))
"""


def test_a_running_stage_shows_its_percent_and_ends_at_a_hundred(project):
    (project.folder / "stage.py").write_text(STAGE)
    process = project.command("-m", "flows", "run", "a")
    (early,) = project.until(lambda: project.artifacts("a-progress"))
    assert early["type"] == "progress" and early["data"] < 100
    assert early["description"].startswith("a, epoch 1: ")
    assert early["task_run_id"] and early["flow_run_id"]
    seen = {early["data"]}
    while process.poll() is None:
        seen |= {now["data"] for now in project.artifacts("a-progress")}
    assert process.returncode == 0
    (last,) = project.artifacts("a-progress")  # one a run
    assert (last["data"], last["description"]) == (100, "a: done")
    assert 2 < len(seen) < 10  # of twenty steps in five seconds


def test_many_lines_cost_next_to_nothing(project):
    project.command("-c", HEAR).communicate(timeout=PATIENCE)
    (shown,) = project.artifacts("fit-gan-progress")
    assert shown["description"] == "fit_gan, epoch 1: 0/100 [00:01<00:02, 50.00 step/s]"
    assert float((project.folder / "seconds").read_text()) < 5  # one request


def test_a_server_that_is_gone_fails_no_run(project):
    project.url = "http://127.0.0.1:9"
    process = project.command("-c", HEAR)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def test_a_log_has_each_bar_as_a_line_of_its_own(desk):
    code = "from lessonpipe.io.progress import Lines\n"
    code += "for _ in Lines(range(3), 'epoch 1', mininterval=0, leave=False): pass"
    said, _ = desk.command("-c", code).communicate(timeout=PATIENCE)
    lines = [line for line in said.split("\n") if line.strip()]
    assert [line[:13] for line in lines] == [
        "epoch 1:   0%",
        "epoch 1:  33%",
        "epoch 1:  67%",
        "epoch 1: 100%",
    ]
