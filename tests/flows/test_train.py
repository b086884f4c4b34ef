"""A training that the page starts: through a real Prefect server, in a small project."""

import pytest
import yaml

from flows.client import PrefectTraining
from lessonpipe.errors import UserError

pytestmark = pytest.mark.slow
RECIPE = ["grey", {"jpeg": {"quality": 20}}]


def test_a_recipe_becomes_that_of_params_and_the_stages_follow(project_with_database, monkeypatch):
    project = project_with_database
    params = project.folder / "params.yaml"
    params.write_text(params.read_text() + "\ncrappify:\n  recipe: lesson # as it was\nseed: 1\n")
    monkeypatch.chdir(project.folder)
    training = PrefectTraining()
    with pytest.raises(UserError, match=r"no Prefect server runs here.*make ui"):
        training.start(RECIPE)

    project.open()
    project.hold("b")
    run = training.start(RECIPE)
    project.until(lambda: project.stage_runs("b"))
    assert not training.look(run).ended
    assert yaml.safe_load(params.read_text())["crappify"]["recipe"] == RECIPE
    project.release("b")
    end = project.until(lambda: (now := training.look(run)).ended and now)
    assert end.succeeded and (project.folder / "evaluate.txt").exists()

    failed = training.start([{"jpeg": {"quality": 2000}}])
    end = project.until(lambda: (now := training.look(failed)).ended and now)
    assert not end.succeeded and "quality" in end.text
    assert yaml.safe_load(params.read_text())["crappify"]["recipe"] == RECIPE
