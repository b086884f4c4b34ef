"""Recipes: the lesson's pictures exactly, the same draws everywhere, errors that name the cure."""

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.own_steps import use_steps
from lessonpipe.crappify.pairs import make_pairs
from lessonpipe.crappify.recipe import Steps, damage_of, steps_of
from lessonpipe.data.manifest import Split
from lessonpipe.errors import UserError
from tests.conftest import ROOT, make_picture


def as_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


use_steps(Path(__file__).with_name("odd_steps.py"))
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
LESSON = PARAMS["recipes"]["lesson"]


def lesson(path: Path, rng: random.Random) -> bytes:
    """The crappifier of the lesson (fastai v1, course-v3 lesson 7), its draws from `rng`."""
    img = Image.open(path)
    w, h = img.size
    ratio = 96 / min(w, h)
    img = img.resize((int(w * ratio), int(h * ratio)), resample=Image.Resampling.BILINEAR)
    img = img.convert("RGB")
    w, h = img.size
    q = rng.randint(10, 70)
    place = (rng.randint(0, w // 2), rng.randint(0, h // 2))
    ImageDraw.Draw(img).text(place, str(q), fill=(255, 255, 255))
    buffer = io.BytesIO()
    img.save(buffer, "JPEG", quality=q)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (96, 96), (120, 97)])
def test_the_default_recipe_is_the_lessons(size: tuple[int, int], tmp_path: Path) -> None:
    assert PARAMS["crappify"]["recipe"] == "lesson"
    recipe = Recipe(LESSON, quality=PARAMS["crappify"]["quality"], seed=7)
    for number in range(3):
        path = tmp_path / f"{number}.png"
        make_picture(*size, seed=number).save(path)
        theirs = lesson(path, random.Random(f"7/{path.name}"))
        made, suffix = recipe.encode(make_picture(*size, seed=number), path.name)
        assert (made, suffix) == (theirs, ".jpg")


def test_degrading_and_encoding_give_the_same_pixels(picture: Image.Image) -> None:
    for steps in (LESSON, ["blur", "noise"], [{"jpeg": {"quality": 20}}, "crease"]):
        recipe = Recipe(steps)
        encoded, _ = recipe.encode(picture, "a.jpg")
        read = Image.open(io.BytesIO(encoded)).convert("RGB")
        assert np.array_equal(read, recipe.degrade(picture, "a.jpg"))


def test_a_recipe_is_a_name_or_its_steps() -> None:
    assert steps_of("lesson", PARAMS["recipes"]) == LESSON
    assert steps_of(["grey"], {}) == ["grey"]
    with pytest.raises(UserError, match="no recipe is called 'color'; choose one of: colour, enl"):
        steps_of("color", PARAMS["recipes"])


@pytest.mark.parametrize("name", PARAMS["recipes"])
def test_every_built_in_recipe_degrades_each_picture_differently(name: str) -> None:
    recipe = Recipe(PARAMS["recipes"][name])
    given = make_picture(450, 300)
    made = [recipe.degrade(given, str(i)) for i in range(6)]
    assert all(picture.tobytes() != given.tobytes() for picture in made)
    same_for_all = name in ("colour", "superres", "superres-256")
    assert len({picture.tobytes() for picture in made}) == (1 if same_for_all else 6)
    sizes = {"lesson": (144, 96), "superres": (144, 96), "superres-256": (384, 256)}
    if name == "enlarge":  # 2 to 4 times, of tiles of 128
        sides = [min(recipe.degrade(given, str(i)).size) for i in range(60)]
        assert 32 <= min(sides) < 35 and 61 < max(sides) <= 64
    else:
        assert made[0].size == sizes.get(name, given.size)


def test_the_local_steps_of_every_recipe_are_known() -> None:
    recipes = PARAMS["recipes"]
    local = {name: Recipe(steps).local_steps for name, steps in recipes.items()}
    assert local == {
        "lesson": ["text"],
        "colour": [],
        "old-photo": ["scratch", "stain", "dust", "crease (unseen)", "ink (unseen)"],
        "enlarge": [],
        "watermark": ["watermark"],
        "inpaint": ["hole"],
        "jpeg": [],
        "superres": [],
        "superres-256": [],
    }
    assert Recipe(["odd_steps.Lighter"]).local_steps == []


def test_a_recipe_that_does_not_end_in_jpeg_loses_nothing(picture: Image.Image) -> None:
    assert Recipe(["jpeg", "grey"]).encode(picture, "a")[1] == ".png"


def test_draws_come_from_seed_and_name_alone(picture: Image.Image) -> None:
    def degrade(seed: int, name: str) -> bytes:
        return Recipe(["ink", "text", "noise"], seed=seed).degrade(picture, name).tobytes()

    assert degrade(1, "a") == degrade(1, "a")
    assert len({degrade(1, "a"), degrade(2, "a"), degrade(1, "b")}) == 3


def test_without_text_every_other_draw_is_the_same(picture: Image.Image) -> None:
    recipe = Recipe([{"resize": {"shorter": 48}}, "text", "hole", "noise"])
    written, plain = (
        np.asarray(recipe.degrade(picture, "a", without=names)).astype(int)
        for names in ([], ["text"])
    )
    differs = np.abs(written - plain).max(2) > 0
    rows, columns = np.nonzero(differs)
    assert 0 < differs.sum() < 16 * 20
    assert np.ptp(rows) < 16 and np.ptp(columns) < 20  # two digits, ten pixels high


def test_quality_is_drawn_from_the_whole_range() -> None:
    recipe = Recipe(["jpeg"], quality=(10, 12))
    assert {recipe.rng(str(i)).quality for i in range(50)} == {10, 11, 12}


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ("gray", ["gray", "blur, crease, dust, edges, fade, grey, hole, ink, jpeg", "watermark"]),
        ({"resize": {"shortest": 96}}, ["resize", "shortest", "shorter"]),
        ({"resize": {"shorter": "many"}}, ["resize", "shorter", "integer"]),
        ({"resize": {"shorter": 3}}, ["resize", "shorter", "8"]),
        ({"jpeg": {"quality": 200}}, ["jpeg", "quality", "95"]),
        ({"blur": {"radius": [3, 1]}}, ["blur", "radius", "low to high"]),
        ({"blur": {"radius": [-3, 1]}}, ["blur", "radius", "below 0"]),
        ({"noise": {"sigma": [-3, 1]}}, ["noise", "sigma", "below 0"]),
        ({"crease": {"count": [-3, 1]}}, ["crease", "count", "below 0"]),
        ({"hole": {"share": [0, 2]}}, ["hole", "share", "above 1"]),
        ({"fade": {"cast": [0, 2]}}, ["fade", "cast", "above 1"]),
        ({"scratch": {"width": [0, 0.1]}}, ["scratch", "width", "below 0.0001"]),
        ({"stain": {"share": [0, 0.1]}}, ["stain", "share", "below 0.0001"]),
        ({"dust": {"share": [0, 0.1]}}, ["dust", "share", "below 0.0001"]),
        ({"watermark": {"opacity": [0, 2]}}, ["watermark", "opacity", "above 1"]),
        ({"ink": {"colour": [0, 0, 999]}}, ["ink", "colour", "255"]),
        ({"no_such_module.step": {}}, ["no_such_module.step", "my_steps.py", "--steps"]),
        ({"odd_steps.lost": {}}, ["lost", "not a step", "odd_steps.py must define"]),
        ({"grey": {}, "blur": {}}, ["one name"]),
        ({"grey": {"p": 0}}, ["grey", "'p'", "above 0 up to 1, not 0"]),
        ({"grey": {"p": "often"}}, ["grey", "'p'", "'often'"]),
        ({"grey": {"unseen": 1}}, ["grey", "'unseen'", "true or false"]),
        ({"blur": {"prob": 1}}, ["blur", "prob", "radius, p, unseen"]),
        ({"odd_steps.darker": {"by": 2, "off": 1}}, ["darker", "off"]),
        ({"odd_steps.darker": {}}, ["darker", "by"]),
        ({"odd_steps.ROOT": {}}, ["ROOT", "not a step"]),
    ],
)
def test_a_wrong_step_is_an_error_that_names_it_and_the_right_ones(
    step: object, parts: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        Recipe([step])  # type: ignore[list-item]
    for part in parts:
        assert part in str(error.value)


def test_a_step_with_a_probability_is_in_that_share_of_pictures() -> None:
    grey, picture = Recipe([{"grey": {"p": 0.3}}]), make_picture(16, 16)
    changed = [grey.degrade(picture, str(i)).tobytes() != picture.tobytes() for i in range(500)]
    assert 0.24 < np.mean(changed) < 0.36
    function = Recipe([{"odd_steps.darker": {"by": 9, "p": 0.3}}])
    changed = [function.degrade(picture, str(i)) != picture for i in range(500)]
    assert 0.24 < np.mean(changed) < 0.36


def test_a_step_that_all_pictures_get_draws_no_number_for_it(picture: Image.Image) -> None:
    drawn = Recipe([{"noise": {"p": 1}}]).degrade(picture, "a")
    assert drawn.tobytes() == Recipe(["noise"]).degrade(picture, "a").tobytes()


def test_a_jpeg_at_the_end_that_is_not_drawn_loses_nothing(picture: Image.Image) -> None:
    recipe = Recipe(["grey", {"jpeg": {"p": 0.5}}])
    suffixes = set()
    for i in range(20):
        encoded, suffix = recipe.encode(picture, str(i))
        read = Image.open(io.BytesIO(encoded)).convert("RGB")
        assert np.array_equal(read, recipe.degrade(picture, str(i)))
        lossless = np.array_equal(read, picture.convert("L").convert("RGB"))
        assert suffix == (".png" if lossless else ".jpg")
        suffixes.add(suffix)
    assert suffixes == {".png", ".jpg"}


def test_an_unseen_step_is_in_validation_pictures_alone() -> None:
    steps: Steps = [{"noise": {"sigma": [2, 2]}}, {"hole": {"unseen": True}}, "noise"]
    recipe, content = Recipe(steps), as_png(make_picture(80, 80))
    assert recipe.unseen_steps == ["hole (unseen)"]
    assert damage_of(steps) == ["grain"]
    mine = {"odd_steps.darker": {"by": 2}}
    assert damage_of([mine, "grey", "grey"]) == ["darker", "lost colour"]

    def blackened(split: Split) -> float:
        made = make_pairs(
            content, "a", split=split, group_pattern=None, tile_px=64, count=8, recipe=recipe
        )
        crappy = [made.files[pair.crappy] for pair in made.pairs]
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in crappy])
        return float((pixels.max(-1) < 40).mean())

    assert blackened("train") < 0.01 < 0.03 < blackened("valid")


def test_an_unseen_step_changes_no_draw_of_those_behind_it(picture: Image.Image) -> None:
    recipe = Recipe([{"hole": {"unseen": True, "count": [1, 1]}}, "noise"])
    with_it, without = (
        np.asarray(recipe.degrade(picture, "a", without=names)).astype(int)
        for names in ((), recipe.unseen_steps)
    )
    assert 0 < (np.abs(with_it - without).max(2) > 0).mean() < 0.5


def test_a_recipe_needs_a_step() -> None:
    with pytest.raises(UserError, match="no steps"):
        Recipe([])


def test_colours_are_jittered_in_the_share_of_pictures_that_is_asked_for() -> None:
    picture = Image.new("RGB", (8, 8), (200, 60, 40))
    recipe = Recipe(["text", "jpeg"], jitter_share=0.4, seed=7)
    changed = [recipe.jittered(picture, str(i)) is not picture for i in range(400)]
    assert 0.33 < np.mean(changed) < 0.47
    again = Recipe(["text", "jpeg"], jitter_share=0.4, seed=7)
    assert [again.jittered(picture, str(i)) is not picture for i in range(400)] == changed
    hues = [
        np.asarray(recipe.jittered(picture, str(i)).convert("HSV"))[..., 0].mean()
        for i in range(400)
        if changed[i]
    ]
    assert np.std(hues) > 60 and len({round(hue) for hue in hues}) > 50


@pytest.mark.parametrize("steps", [["grey"], [{"fade": {}}, "jpeg"], ["odd_steps.darker"]])
def test_colours_stay_where_a_step_changes_them_or_might(steps: list[str]) -> None:
    steps = [{step: {"by": 0.5}} if "darker" in step else step for step in steps]  # type: ignore
    picture, recipe = make_picture(32, 32), Recipe(steps, jitter_share=1.0)
    assert all(recipe.jittered(picture, str(i)) is picture for i in range(20))


def test_colours_are_jittered_where_chance_leaves_out_the_step_that_changes_them() -> None:
    picture = Image.new("RGB", (32, 32), (200, 60, 40))
    recipe = Recipe([{"fade": {"p": 0.3}}], jitter_share=1.0)
    names = [str(i) for i in range(200)]
    faded = [recipe.degrade(picture, name) is not picture for name in names]
    jittered = [recipe.jittered(picture, name) is not picture for name in names]
    assert 0.2 < np.mean(faded) < 0.4
    assert jittered == [not is_faded for is_faded in faded]


def test_a_function_by_its_dotted_path_is_a_step(picture: Image.Image) -> None:
    made = Recipe([{"odd_steps.darker": {"by": 2}}]).degrade(picture, "a")
    assert np.array_equal(made, np.asarray(picture) // 2)


def test_a_step_class_by_its_dotted_path_is_a_step(picture: Image.Image) -> None:
    made = Recipe([{"odd_steps.Lighter": {"by": 30}}]).degrade(picture, "a")
    assert np.array_equal(made, np.minimum(255, np.asarray(picture).astype(int) + 30))
    with pytest.raises(UserError, match="by"):
        Recipe([{"odd_steps.Lighter": {"per": 30}}])


@pytest.mark.parametrize(
    "step", [3, None, ["grey"], {"grey": 3}, {"grey": [1, 2]}, {1: {}}, {"grey": {}, "jpeg": {}}]
)
def test_what_is_no_step_is_refused_in_a_sentence(step: object) -> None:
    with pytest.raises(UserError, match="a step is a name"):
        Recipe([step])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("recipe", "recipes"), [("a", [3]), (5, {}), (None, {}), ("a", {"a": "grey"}), ("a", {"a": 3})]
)
def test_what_is_no_recipe_is_refused_in_a_sentence(recipe: Any, recipes: Any) -> None:
    with pytest.raises(UserError, match="recipe"):
        steps_of(recipe, recipes)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("failing", r"failed: ZeroDivisionError: .* in odd_steps.py, line \d+"),
        ("grey_without_a_word", "must return an RGB picture, not L"),
        ("nothing", "must return an RGB picture, not NoneType"),
    ],
)
def test_a_step_of_ones_own_that_fails_is_told_with_its_place(step: str, told: str) -> None:
    recipe = Recipe([f"odd_steps.{step}"])
    with pytest.raises(UserError, match=told):
        recipe.degrade(make_picture(), "a")
