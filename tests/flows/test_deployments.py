"""What Prefect's page offers beside `restorer`, started by its API as the page does."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import make_picture


@pytest.fixture
def page(settled, listener):
    """`python -m flows ui`, which tells the listener when a run fails."""
    settled.open("--notify", f"http://127.0.0.1:{listener.server_port}/hook")
    return settled


@pytest.mark.slow
def test_the_page_restores_a_folder_sweeps_and_tells_of_a_failure(page, listener, model):
    inbox = page.folder / "inbox"
    inbox.mkdir()
    make_picture().save(inbox / "a.png")
    (inbox / "bad.png").write_text("no picture")
    for path in inbox.iterdir():
        os.utime(path, (1, 1))  # not just being written
    run = page.start("restore-folder", model=str(model))
    second = page.start("restore-folder", model=str(model))
    assert page.until(lambda: page.ended(run)) == "COMPLETED"
    assert page.until(lambda: page.ended(second)) == "COMPLETED"
    assert (page.folder / "restored" / "a.png").is_file()
    lines = (page.folder / "restored" / ".restored.jsonl").read_text().splitlines()
    assert len(lines) == 2  # not four
    assert "bad.png" in json.dumps(page.artifacts("not-restored"))

    told = page.deployment("sweep")["parameter_openapi_schema"]["properties"]
    assert "Values by key of params.yaml" in told["grid"]["description"]

    (page.folder / "b.trouble").write_text(json.dumps([2, "b: the disk is full", False]))
    failing = page.start("nightly", stages=["b"], promote=False)
    assert page.until(lambda: page.ended(failing)) == "FAILED"
    page.until(lambda: listener.posted)
    words = json.loads(listener.posted[0])
    assert words["state"] == "Failed" and "the disk is full" in words["message"]
    assert Path(page.folder / "a.txt").exists()


@pytest.mark.slow
def test_two_retrains_never_run_at_once_in_one_folder(page):
    page.slow(a=20)  # the second starts while the first is at work, on a busy machine, too
    runs = [page.start("restorer", stages=["a"])]
    runs += [page.start("nightly", stages=["a"], promote=False)]
    assert page.until(lambda: all(page.ended(run) for run in runs))
    assert {page.ended(run) for run in runs} == {"COMPLETED"}
    logs = page.api("POST", "logs/filter", {"logs": {}, "limit": 200})
    assert any("another run is at work in this folder" in log["message"] for log in logs)
    ran = [log for log in logs if log["message"] == "a: step 3"]
    assert len(ran) == 1  # the second found it done


@pytest.mark.slow
def test_a_sweep_runs_every_combination_and_tables_its_measures(page):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *words], cwd=page.folder, check=True)
    run = page.start("sweep", grid={"seconds.b": [0, 0.1], "seconds.c": [0.2]}, stage="evaluate")
    assert page.until(lambda: page.ended(run)) == "COMPLETED", page.told(run)
    rows = json.loads(page.artifacts("sweep")[-1]["data"])
    assert [row["params"] for row in rows] == [
        "seconds.b=0 seconds.c=0.2",
        "seconds.b=0.1 seconds.c=0.2",
    ]
    assert all(row["128.gan.psnr"] == pytest.approx(31.4159, abs=1e-3) for row in rows)
    assert not (page.folder / "b.txt").exists()  # the workspace is left alone
