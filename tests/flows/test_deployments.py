"""The flows beside `restorer`, started by the API of Prefect's page, as the page does."""

import json
import os
import subprocess
from datetime import UTC, datetime

import pytest

from tests.conftest import make_picture
from tests.flows.conftest import copied, with_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(seed, empty_database, webhook, tmp_path_factory):
    """`python -m flows ui`, which posts to the webhook when a run fails."""
    with copied(seed, tmp_path_factory.mktemp("page") / "project") as project:
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        for args in (["add", "-A"], ["commit", "-qm", "start"]):
            subprocess.run([*git, *args], cwd=project.folder, check=True)
        with_database(project, empty_database)
        project.open("--notify", f"http://127.0.0.1:{webhook.server_port}/hook")
        yield project


def test_a_sweep_runs_every_combination_and_tables_its_metrics(page):
    parameters = page.deployment("sweep")["parameter_openapi_schema"]["properties"]
    assert "Values by key of params.yaml" in parameters["grid"]["description"]
    run = page.start("sweep", grid={"version.b": [0, 0.1], "version.c": [0.2]}, stage="evaluate")
    assert page.until(lambda: page.ended(run)) == "COMPLETED", page.log(run)
    rows = json.loads(page.artifacts("sweep")[-1]["data"])
    assert [row["params"] for row in rows] == [
        "version.b=0 version.c=0.2",
        "version.b=0.1 version.c=0.2",
    ]
    assert all(row["128.gan.psnr"] == pytest.approx(31.4159, abs=1e-3) for row in rows)
    assert not (page.folder / "b.txt").exists()  # the workspace is left alone


def test_a_folder_is_restored_once_by_two_runs(page, model):
    inbox = page.folder / "inbox"
    inbox.mkdir()
    make_picture().save(inbox / "a.png")
    (inbox / "bad.png").write_text("no picture")
    for path in inbox.iterdir():
        os.utime(path, (1, 1))  # not just being written
    runs = [page.start("restore-folder", model=str(model)) for _ in range(2)]
    assert page.until(lambda: all(map(page.ended, runs)))
    assert {page.ended(run) for run in runs} == {"COMPLETED"}
    assert (page.folder / "restored" / "a.png").is_file()
    lines = (page.folder / "restored" / ".restored.jsonl").read_text().splitlines()
    assert len(lines) == 2  # not four
    assert "bad.png" in json.dumps(page.artifacts("not-restored"))


def test_two_retrains_never_run_at_once_in_one_folder(page):
    start = datetime.now(UTC)
    page.change(a=1)
    page.hold("a")
    runs = [page.start("restorer", stages=["a"])]
    page.until(lambda: page.stage_runs("a"))
    runs += [page.start("nightly", stages=["a"], promote=False)]
    page.until(
        lambda: (
            "another run is at work in this folder; waiting for its end" in messages(page, start)
        )
    )
    page.release("a")
    assert page.until(lambda: all(map(page.ended, runs)))
    assert {page.ended(run) for run in runs} == {"COMPLETED"}
    assert messages(page, start).count("a: step 3") == 1  # the second found it done


def messages(page, start: datetime) -> list[str]:
    """The first 200 lines of the logs of all runs, those within others too, since `start`."""
    query = {"logs": {"timestamp": {"after_": start.isoformat()}}, "limit": 200}
    return [log["message"] for log in page.api("POST", "logs/filter", query)]


def test_a_failed_run_is_posted_to_the_webhook(page, webhook):
    page.change(b=1)
    page.fail("b", 2, "b: the disk is full")
    run = page.start("nightly", stages=["b"], promote=False)
    assert page.until(lambda: page.ended(run)) == "FAILED"
    page.until(lambda: webhook.posted)
    payload = json.loads(webhook.posted[0])
    assert payload["state"] == "Failed" and "the disk is full" in payload["message"]
    assert (page.folder / "a.txt").exists()
