"""A run of the real stages, cancelled in their midst as the page's button does, and tried again."""

import json

import pytest

from tests.test_pipeline import clone

pytestmark = pytest.mark.slow

STEPS = """
import time

def slowly(picture, rng):
    "Take some time."
    time.sleep(0.5)
    return picture
"""


def cut_short(params):
    """Stages that take half a minute between them."""
    params["download"]["limit"] = 12
    params["crappify"] |= {"tiles": {"tile_px": 160, "train": 2, "valid": 2}}
    params["crappify"]["recipe"] = ["my_steps.slowly", "grey"]
    params["pretrain_generator"] |= {"widths": [16, 16, 8, 8], "head": 8, "pretrained": False}
    params["pretrain_generator"]["phases"] = [
        {"image_px": 64, "batch": 4, "epochs": 40, "max_lr": 0.003, "warmup": 0.3, "frozen": True}
    ]
    return params


@pytest.fixture
def page(tmp_path, project_class):
    """The page of a small project."""
    page = project_class(clone(tmp_path / "project", cut_short))
    (page.folder / "my_steps.py").write_text(STEPS)
    page.dvc("init", "-q", "--force")
    page.open()
    yield page
    page.ui.terminate()
    page.ui.communicate(timeout=40)
    for process in page.processes():
        process.kill()


def test_a_cancelled_run_leaves_nothing_half_written_and_goes_on_when_tried_again(page):
    journals = page.folder.glob
    run = page.start("restorer", stages=["pretrain_generator"])
    page.until(lambda: any(journals("data/.crappify-*.draft/done.jsonl")))
    cancel(page, run)
    assert not (page.folder / "data/crappify").exists()
    assert len(drafts(page)) == 1  # the journal, which the next run goes on from
    assert set(status(page)) >= {"crappify", "pretrain_generator"}

    again(page, run)
    page.until(lambda: "epoch 1  px 64" in said(page, run))
    assert "going on after" in said(page, run)
    cancel(page, run)
    assert not (page.folder / "models/pretrain_generator").exists()
    assert not drafts(page)
    assert "crappify" not in status(page)  # what was done stays done

    again(page, run)
    assert page.until(lambda: page.ended(run)) == "COMPLETED"
    assert "going on after epoch" in said(page, run)
    assert not drafts(page) and not any((page.folder / ".lessonpipe/checkpoints").iterdir())
    assert "pretrain_generator" not in status(page)


def cancel(page, run: str) -> None:
    """Cancel, and wait until no stage is at work."""
    page.api("POST", f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert page.until(lambda: page.ended(run), 60) == "CANCELLED"
    assert not [p for p in page.processes() if "tasks" in p.cmdline()]


def again(page, run: str) -> None:
    """The button Retry."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    page.api("POST", f"flow_runs/{run}/set_state", {"state": state, "force": True})


def drafts(page) -> list:
    return [path for where in ("data", "models") for path in page.folder.glob(f"{where}/.*.draft")]


def status(page) -> dict:
    """What DVC finds changed."""
    return json.loads(page.dvc("status", "--json").splitlines()[-1])  # after warnings


def said(page, run: str) -> str:
    asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    return "\n".join(line["message"] for line in page.api("POST", "logs/filter", asked))
