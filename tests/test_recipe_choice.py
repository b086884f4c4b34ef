"""Crappify depends on the chosen recipe's steps and on no other's: a real DVC says so."""

import json
import subprocess

import pytest
import yaml

from tests.test_pipeline import BIN, ENV, clone, dvc


def few(params):
    params["download"]["limit"] = 3
    params["crappify"]["tiles"] = {"tile_px": 96, "train": 1, "valid": 1}
    return params


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone whose photos are degraded."""
    folder = clone(tmp_path_factory.mktemp("recipes") / "project", few)
    dvc(folder, "repro", "crappify")
    for args in (["add", "-A"], ["commit", "-qm", "pairs", "--no-verify"]):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *name, *args], cwd=folder, check=True)
    return folder


@pytest.fixture(autouse=True)
def restore(project):
    """Every test starts from the commit."""
    yield
    subprocess.run(["git", "checkout", "-q", "."], cwd=project, check=True)
    dvc(project, "checkout", "-q", "data/recipe.json", "data/crappify", "--force")


def edit(project, change):
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    change(params)
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def manifest(project):
    return json.loads((project / "data/crappify/manifest.json").read_text())


@pytest.mark.slow
def test_an_edit_of_another_recipe_reruns_nothing(project):
    edit(project, lambda params: params["recipes"]["colour"].append("blur"))
    assert "Stage 'crappify' didn't change, skipping" in dvc(project, "repro", "crappify")


@pytest.mark.slow
def test_an_edit_of_the_chosen_recipe_reruns_crappify(project):
    edit(project, lambda params: params["recipes"]["lesson"].insert(0, "grey"))
    assert "Running stage 'crappify'" in dvc(project, "repro", "crappify")
    assert manifest(project)["recipe"][0] == "grey"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "steps"),
    [("colour", ["grey"]), ("[grey,{jpeg:{quality:20}}]", ["grey", {"jpeg": {"quality": 20}}])],
)
def test_an_experiment_chooses_a_recipe_by_its_name_or_its_steps(project, recipe, steps):
    dvc(project, "exp", "run", "-S", f"crappify.recipe={recipe}", "crappify")
    assert manifest(project)["recipe"] == steps
    assert "up to date" in dvc(project, "status", "crappify", "recipe")


@pytest.mark.slow
def test_an_experiment_with_an_unknown_recipe_lists_the_known_ones(project):
    args = [BIN / "dvc", "exp", "run", "-S", "crappify.recipe=color", "crappify"]
    done = subprocess.run(args, cwd=project, env=ENV, capture_output=True, text=True)
    assert (
        done.returncode
        and "'color'; choose one of: colour, enlarge, inpaint" in done.stdout + done.stderr
    )
