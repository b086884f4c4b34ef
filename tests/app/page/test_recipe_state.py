"""Building a recipe: every step's settings, their order, and the YAML that comes of them."""

from pathlib import Path

import pytest
import yaml

from lessonpipe.app.page.recipe_state import BuiltRecipe, known_recipes, settings_of
from lessonpipe.crappify.recipe import Recipe
from lessonpipe.crappify.steps import STEPS
from lessonpipe.errors import UserError
from tests.conftest import ROOT, make_picture

RECIPES = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_built_from_a_recipe_degrades_as_the_recipe_does(name: str) -> None:
    built = BuiltRecipe.of(RECIPES[name])
    picture = make_picture(300, 280, seed=2)
    for title in ("a", "b", "c"):
        expected = Recipe(RECIPES[name]).degrade(picture, title)
        assert built.recipe().degrade(picture, title) == expected
    text = yaml.safe_load(built.as_yaml())["recipes"]["mine"]
    assert Recipe(text).degrade(picture, "a") == Recipe(RECIPES[name]).degrade(picture, "a")


@pytest.mark.parametrize("name", STEPS)
def test_both_ends_of_every_slider_are_settings_that_the_step_takes(name: str) -> None:
    for setting in settings_of(name):
        built = BuiltRecipe().added(name)
        if setting.kind == "range":
            for end in (setting.low, setting.high):
                for part in (0, 1):
                    changed = built.with_setting(built.steps[0].key, setting.name, end, part)
                    low, high = changed.steps[0].settings[setting.name]
                    assert low <= high and (low, high)[part] == end
                    changed.recipe()
        elif setting.kind == "number":
            for end in (setting.low, setting.high):
                built.with_setting(built.steps[0].key, setting.name, end).recipe()
        elif setting.kind == "choice":
            built.with_setting(built.steps[0].key, setting.name, list(setting.options)).recipe()
        else:
            built.with_setting(built.steps[0].key, setting.name, setting.default).recipe()


@pytest.mark.parametrize("name", RECIPES)
def test_every_step_of_every_recipe_has_a_value_for_each_slider(name: str) -> None:
    for step in BuiltRecipe.of(RECIPES[name]).steps:
        for setting in settings_of(step.name):
            value = step.value(setting)
            assert setting.kind != "range" or [setting.low <= end for end in value] == [True, True]
            built = BuiltRecipe((step,))
            if setting.kind == "range":
                built.with_setting(step.key, setting.name, setting.high, 1).recipe()


def test_every_setting_but_a_colour_can_be_set() -> None:
    for name, step in STEPS.items():
        assert {s.name for s in settings_of(name)} == set(step.model_fields) - {
            "colour",
            "colours",
        } | ({"colour"} if name in ("fade", "noise") else set())


def test_steps_are_added_moved_and_removed_and_keep_their_settings() -> None:
    built = BuiltRecipe().added("blur").added("scratch").added("jpeg")
    blur, scratch, _ = (step.key for step in built.steps)
    built = built.with_setting(scratch, "count", 3, 1).with_setting(scratch, "p", 0.5)
    built = built.moved(scratch, -1).moved(scratch, -1)  # the second finds no place
    assert built.as_steps() == [{"scratch": {"count": [1, 3], "p": 0.5}}, "blur", "jpeg"]
    built = built.removed(blur).removed(blur).moved(blur, 1).added("grey")
    assert built.as_steps() == [{"scratch": {"count": [1, 3], "p": 0.5}}, "jpeg", "grey"]
    assert len({step.key for step in built.steps} | {blur}) == 4  # a key comes never again


def test_recipes_to_start_from_are_the_folders_and_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"lesson", "old-photo"} <= set(known_recipes())
    (tmp_path / "params.yaml").write_text("recipes: {mine: [grey]}")
    assert known_recipes()["mine"] == ["grey"]
    (tmp_path / "params.yaml").write_text("recipes:")
    assert "lesson" in known_recipes()
    for text in ("", "- a", "a: [", "crappify: 3"):
        (tmp_path / "params.yaml").write_text(text)
        with pytest.raises(UserError, match=r"params\.yaml"):
            known_recipes()


def test_the_preview_draws_with_the_quality_and_seed_that_training_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\ncrappify: {quality: [5, 6]}\n")
    picture = make_picture(100, 100)
    expected = Recipe(["jpeg"], quality=(5, 6), seed=7).degrade(picture, "a")
    assert BuiltRecipe.of(["jpeg"]).recipe().degrade(picture, "a") == expected
