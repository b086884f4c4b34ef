"""A run of the real stages, cancelled in their midst as the page's button does, and retried."""

import json

import pytest

from tests.small import unet_config
from tests.test_pipeline import clone

pytestmark = pytest.mark.slow

STEPS = """
import time

def slowly(picture, rng):
    "Take some time."
    time.sleep(0.5)
    return picture
"""


def small(params):
    """Two stages that can be met at work, and a training that can be met between its epochs."""
    params["download"]["limit"] = 12
    params["crappify"] |= {"tiles": {"tile_px": 160, "train": 2, "valid": 2}}
    params["crappify"]["recipe"] = ["my_steps.slowly", "grey"]
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
        "phases": [{"image_px": 64, "batch": 4, "epochs": 40, "max_lr": 0.003, "frozen": True}],
    }
    return params


@pytest.fixture
def page(tmp_path, project_class):
    """The page of a small project."""
    page = project_class(clone(tmp_path / "project", small))
    (page.folder / "my_steps.py").write_text(STEPS)
    page.dvc("init", "-q", "--force")
    page.open()
    yield page
    page.ui.terminate()
    page.ui.communicate(timeout=40)
    for process in page.processes():
        process.kill()


def test_a_cancelled_run_leaves_nothing_half_written_and_a_retry_continues_it(page):
    run = page.start("restorer", stages=["pretrain_generator"])
    page.until(lambda: any(page.folder.glob("data/.crappify-*.draft/done.jsonl")))
    cancel(page, run)
    assert not (page.folder / "data/crappify").exists()
    assert len(drafts(page)) == 1  # the journal, from which the next run continues
    assert set(status(page)) >= {"crappify", "pretrain_generator"}

    retry(page, run)
    page.until(lambda: "epoch 1  px 64" in page.log(run))
    assert "resuming after" in page.log(run)
    cancel(page, run)
    assert not (page.folder / "models/pretrain_generator").exists()
    assert not drafts(page)
    assert "crappify" not in status(page)  # what was done stays done

    retry(page, run)
    assert page.until(lambda: page.ended(run)) == "COMPLETED"
    assert "resuming after epoch" in page.log(run)
    assert not drafts(page) and not any((page.folder / ".lessonpipe/checkpoints").iterdir())
    assert "pretrain_generator" not in status(page)


def cancel(page, run: str) -> None:
    """Cancel, and see that no stage is running."""
    page.cancel(run)
    assert not [p for p in page.processes() if "tasks" in p.cmdline()]


def retry(page, run: str) -> None:
    """Press the button Retry."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    page.api("POST", f"flow_runs/{run}/set_state", {"state": state, "force": True})


def drafts(page) -> list:
    return [path for where in ("data", "models") for path in page.folder.glob(f"{where}/.*.draft")]


def status(page) -> dict:
    """What DVC finds changed."""
    return json.loads(page.dvc("status", "--json").splitlines()[-1])  # after warnings
