"""Which stage makes what is missing: in the words of dvc.yaml."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import MissingError
from lessonpipe.nets.io import load_generator
from lessons.bedrooms import data as bedrooms
from lessons.digits import data as digits
from lessons.numbers import data as numbers
from lessons.streets.data import read_split
from tasks.pipeline.dvc_files import stage_that_makes, with_cure


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("data/photos/a/b.jpg", "download"),
        ("models/fit_gan", "fit_gan"),
        ("models/fit_gan/model.json", "fit_gan"),
        ("reports/metrics.json", "evaluate"),
        ("models/numbers/model.json", "lessons/dvc.yaml:numbers"),
        ("models/numbers_too", None),
        ("models", None),
        ("../models/fit_gan", None),
    ],
)
def test_an_output_or_a_file_in_it_belongs_to_its_stage(
    path: str, target: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stage_that_makes(Path(path)) == target
    assert stage_that_makes(tmp_path / path) == target


@pytest.mark.parametrize(
    ("load", "folder", "target"),
    [
        (Manifest.read, "data/crappify", "crappify"),
        (load_generator, "models/pretrain_generator", "pretrain_generator"),
        (digits.load, "data/digits", "lessons/dvc.yaml:digits_data"),
        (numbers.load, "data/numbers", "lessons/dvc.yaml:numbers_data"),
        (bedrooms.load, "data/bedrooms", "lessons/dvc.yaml:bedrooms_data"),
        (
            lambda folder: read_split(folder, "train"),
            "data/streets",
            "lessons/dvc.yaml:streets_data",
        ),
    ],
)
def test_what_is_missing_is_an_error_that_says_which_stage_to_run(
    load: Callable[[Path], Any],
    folder: str,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(MissingError, match=f"{folder}.*; run `dvc repro {target}` first$") as error,
        with_cure(),
    ):
        load(Path(folder))
    assert error.value.path.is_relative_to(folder)


def test_an_error_of_something_that_no_stage_makes_is_left_alone() -> None:
    with pytest.raises(MissingError, match=r"^it is not there$"), with_cure():
        raise MissingError("it is not there", "/nowhere")
