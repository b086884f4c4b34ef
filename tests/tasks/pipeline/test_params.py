"""Mistakes in the params file and in the command line: each is a sentence, with exit code 2."""

import importlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lessonpipe.errors import UserError
from tasks.__main__ import STAGES
from tasks.pipeline.params import load, load_stage
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text()
Door = Callable[..., subprocess.CompletedProcess[str]]


def edited(key: str, value: Any) -> str:
    """The params file with `key`, dotted, set to `value`; removed when that is `...`."""
    params = yaml.safe_load(TEXT)
    *parents, last = key.split(".")
    section = params
    for part in parents:
        section = section[int(part) if part.isdigit() else part]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return yaml.safe_dump(params, sort_keys=False)


def error_of(door: Door, tmp_path: Path, stage: str, text: str | bytes, **env: str) -> str:
    """The stage's error for a wrong params file: a sentence, with exit code 2."""
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = door("tasks", stage, "--params", path, **env)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith(f"{stage}: ")
    assert not (tmp_path / "data").exists() and not (tmp_path / "models").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("download.sauce", "x", ["download.sauce is unknown", "folder, limit, pattern, source"]),
        ("download.source", "web", ["download.source = 'web'", "'sample', 'pets' or 'folder'"]),
        ("download.limit", 0, ["download.limit = 0", "greater than or equal to 1"]),
        ("download.limit", "all", ["download.limit = 'all'", "valid integer"]),
        ("download.limit", ..., ["download.limit is missing", "mine.yaml"]),
        ("crappify.tiles.tile_px", 8, ["crappify.tiles.tile_px = 8", "32"]),
        ("crappify.tiles.px", 8, ["crappify.tiles.px is unknown", "tile_px, train, valid"]),
        ("fit_feature.feature.gram_layers", [1, 7], ["fit_feature.feature", "gram_layers [7]"]),
        ("crappify.valid_share", 1.5, ["crappify.valid_share = 1.5", "less than 1"]),
        ("crappify.valid_share", float("nan"), ["crappify.valid_share", "finite"]),
        ("crappify.quality", [70, 10], ["crappify.quality", "low to high"]),
        ("crappify.quality", [0, 700], ["crappify.quality", "[0, 700]", "1"]),
        ("crappify.group_pattern", "(", ["crappify.group_pattern = '('", "regular expression"]),
        (
            "crappify.recipe",
            "color",
            ["crappify.recipe = 'color'", "colour, enlarge, inpaint, jpeg, lesson"],
        ),
        ("recipes.lesson", ["gray"], ["crappify.recipe", "'gray'", "grey"]),
        ("recipes.lesson", 5, ["recipes.lesson", "valid list"]),
        ("crappify.recipe", ["gray"], ["crappify.recipe", "'gray'", "grey"]),
        ("crappify.recipe", [{"jpeg": {"q": 3}}], ["crappify.recipe", "'q'", "quality"]),
        ("crappify.recipe", [5], ["crappify.recipe.0", "5"]),
        ("crappify.recipe", [], ["crappify.recipe", "no steps"]),
        ("seed", ..., ["seed is missing"]),
        ("seed", "lucky", ["seed = 'lucky'", "valid integer"]),
    ],
)
def test_a_wrong_param_is_named_with_what_would_be_right(
    key: str, value: object, parts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(edited(key, value))
    stage = {"seed": "crappify", "recipes": "crappify"}.get(top := key.split(".")[0], top)
    with pytest.raises(UserError) as error:
        load(_params_of(stage), stage, tmp_path / "mine.yaml")
    for part in parts:
        assert part in str(error.value)
    if key == "seed":
        assert "crappify.seed" not in str(error.value)  # it is in no section


def _params_of(stage: str) -> Any:
    return importlib.import_module(f"tasks.{stage}").Params


def test_all_mistakes_are_in_one_error(tmp_path: Path) -> None:
    text = edited("download.limit", 0).replace("source:", "sauce:", 1)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        load(_params_of("download"), "download", tmp_path / "mine.yaml")
    for part in ("download.limit = 0", "download.sauce is unknown", "download.source is missing"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (edited("download.sauce", "x"), ["download.sauce is unknown", "limit, pattern, source"]),
        (edited("download.limit", -1), ["download.limit = -1", "greater than"]),
        (edited("download.pattern", ...), ["download.pattern is missing"]),
        (edited("download", ...), ["no section 'download'"]),
        ("download: nothing", ["no section 'download'"]),
        ("just words", ["no section 'download'"]),
        ("", ["no section 'download'"]),
        ("a: [1, 2", ["not YAML"]),
        (b"\xff\xfe\x00", ["not"]),
    ],
)
def test_a_wrong_params_file_is_an_error_in_a_sentence(
    text: str | bytes, parts: list[str], door: Door, tmp_path: Path
) -> None:
    error = error_of(door, tmp_path, "download", text)
    for part in ["mine.yaml", *parts]:
        assert part in error


def test_a_missing_params_file_is_named(door: Door, tmp_path: Path) -> None:
    for place in ("none.yaml", "."):
        done = door("tasks", "download", "--params", place)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert place in done.stderr


def test_a_wrong_stage_is_an_error_that_lists_the_right_ones(door: Door) -> None:
    done = door("tasks", "train")
    assert done.returncode == 2 and all(stage in done.stderr for stage in STAGES)


@pytest.mark.parametrize("workers", ["zero", "0", "-1", "1.5", "²"])
def test_a_wrong_number_of_workers_is_an_error(
    workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lessonpipe.cluster import worker_count

    monkeypatch.setenv("LESSONPIPE_WORKERS", workers)
    with pytest.raises(UserError, match=f"LESSONPIPE_WORKERS='{workers}'.*whole number above 0"):
        worker_count(1)


def test_wrong_workers_and_missing_photos_are_errors_in_a_sentence(
    door: Door, tmp_path: Path, photos: Callable[..., Path]
) -> None:
    (tmp_path / "mine.yaml").write_text(edited("crappify.group_pattern", None))
    done = door("tasks", "crappify", "--params", "mine.yaml")
    assert done.returncode == 2 and "dvc repro download" in done.stderr
    photos(3, folder="data/photos")
    env = {"LESSONPIPE_WORKERS": "zero"}
    done = door("tasks", "crappify", "--params", "mine.yaml", **env)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "LESSONPIPE_WORKERS='zero'" in done.stderr
    assert not (tmp_path / "data/crappify").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "text", "parts"),
    [
        (
            "evaluate",
            edited("evaluate.evaluations.0.models", ["gun"]),
            ["evaluations.0.models.0", "'gan'"],
        ),
        (
            "evaluate",
            edited("evaluate.evaluations.0.image_px", 100),
            ["evaluations.0.image_px = 100"],
        ),
        ("save_preds", edited("precision", "fp8"), ["precision = 'fp8'", "'bf16'"]),
        ("pretrain_generator", edited("pretrain_generator.phases", [{}]), ["phases.0.image_px"]),
        ("fit_pixel", edited("fit_pixel.pixel", "l3"), ["fit_pixel.pixel = 'l3'"]),
        ("fit_feature", edited("fit_pixel.pixel", "l3"), ["fit_pixel.pixel = 'l3'"]),
        ("fit_feature", edited("fit_feature.pixel", "l3"), ["fit_feature.pixel = 'l3'"]),
        ("fit_feature", edited("fit_feature.feature", ...), ["fit_feature.feature is missing"]),
        ("compare", edited("evaluate.batch", 0), ["evaluate.batch = 0"]),
    ],
)
def test_wrong_params_of_a_training_stage_are_an_error_in_a_sentence(
    stage: str, text: str, parts: list[str], door: Door, tmp_path: Path
) -> None:
    error = error_of(door, tmp_path, stage, text)
    for part in parts:
        assert part in error


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda", "warp"])
def test_a_missing_device_is_an_error_with_the_cure(
    device: str, door: Door, tmp_path: Path
) -> None:
    env = {"LESSONPIPE_DEVICE": device, "CUDA_VISIBLE_DEVICES": ""}
    error = error_of(door, tmp_path, "save_preds", TEXT, **env)
    assert f"LESSONPIPE_DEVICE={device}" in error and "cpu" in error


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_no_param_has_a_name_that_dvc_leaves_out_of_its_run_cache() -> None:
    """DVC drops `size` and `nfiles` from what it hashes, wherever they are."""
    assert len(set(keys(yaml.safe_load(TEXT)))) > 40
    assert not {"size", "nfiles"} & set(keys(yaml.safe_load(TEXT)))


@pytest.mark.slow
def test_the_params_that_come_with_the_project_are_right_for_every_stage() -> None:
    for stage in STAGES:
        module = importlib.import_module(f"tasks.{stage}")
        assert load_stage(module, stage, ROOT / "params.yaml")
