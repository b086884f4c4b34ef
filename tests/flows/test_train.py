"""A training that the page starts: through a real Prefect server, in a small project."""

import shutil
from pathlib import Path

import pytest
import yaml

from flows.client import PrefectTraining
from lessonpipe import zoo
from lessonpipe.errors import UserError
from lessonpipe.nets.io import read_model_json
from tests.app.page.conftest import running
from tests.browser import needs_browser, open_browser
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
RECIPE = ["grey", {"jpeg": {"quality": 20}}]


@pytest.fixture
def project(project_with_database):
    """A small project with a recipe."""
    params = project_with_database.folder / "params.yaml"
    params.write_text(params.read_text() + "\ncrappify:\n  recipe: lesson # as it was\nseed: 1\n")
    return project_with_database


def test_a_recipe_becomes_that_of_params_and_the_stages_follow(project, monkeypatch):
    params = project.folder / "params.yaml"
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


@needs_browser
def test_a_click_on_the_page_trains_for_the_recipe_that_is_built(
    project, model: Path, tmp_path: Path
):
    project.open()
    shutil.copytree(model, project.folder / "models/fit_pixel")
    (project.folder / "flows").symlink_to(ROOT / "flows")  # as in a clone
    with running(project.folder) as page, open_browser(tmp_path) as tab:
        tab.browser.get(page.url)
        tab.click("Damage", "button[@role='tab']")
        tab.get("#train").click()
        tab.see("Trained: models/fit_pixel restores it; see the tab Report.")
    built = yaml.safe_load((project.folder / "params.yaml").read_text())["crappify"]["recipe"]
    shipped = read_model_json(zoo.find_model("old-photo"))["recipe"]
    assert [next(iter(step)) for step in built] == [next(iter(step)) for step in shipped]
