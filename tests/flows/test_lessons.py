"""A lesson's stages run as the restorer's do: through the flow, by name."""

import pytest

from tests.cluster.conftest import small
from tests.test_pipeline import clone

pytestmark = pytest.mark.slow


def test_a_lesson_trains_through_the_flow_and_its_plots_are_artifacts(
    url, password, tmp_path, project_class, monkeypatch
):
    monkeypatch.setenv("LESSONPIPE_WORKERS", "1")
    project = project_class(clone(tmp_path / "project", small), url, password)
    run = project.run("numbers")
    assert run.code == 0, run.output
    states = {name: task["state_name"] for name, task in run.tasks().items()}
    assert states == {"numbers_data": "Completed", "numbers": "Completed"}
    (kinds,) = project.artifacts("numbers-kinds")
    assert kinds["data"].startswith("![kinds.svg](data:image/svg+xml;base64,")
    again = project.run("numbers")
    assert {task["state_name"] for task in again.tasks().values()} == {"Cached"}
    assert "up to date" in project.dvc("repro", "lessons/dvc.yaml:numbers")
