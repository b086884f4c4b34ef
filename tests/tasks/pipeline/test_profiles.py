"""Profiles are parts of params.yaml, and DVC understands the overrides made of them."""

import importlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.__main__ import STAGES
from tasks.pipeline import profiles
from tasks.pipeline.params import ALL, load_stage
from tests.conftest import ROOT

PROFILES = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("profiles/*.yaml")}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
OF_FIT_PIXEL = {**PARAMS["fit_pixel"], **PARAMS["fit_feature"]}  # fit_feature's keys are these
AUGMENT = ("rotate", "zoom", "warp", "light")  # params.yaml leaves out what is not used


def merged(params: Any, overlay: Any) -> Any:
    if not (isinstance(params, dict) and isinstance(overlay, dict)):
        return overlay
    return params | {key: merged(params.get(key), value) for key, value in overlay.items()}


def unknown(params: Any, overlay: dict[str, Any]) -> Iterator[str]:
    for key, value in overlay.items():
        if key not in params and key not in AUGMENT:
            yield key
        elif isinstance(value, dict) and params.get(key) is not None:  # an optional section is null
            yield from unknown(params[key], value)


@pytest.fixture
def profiles_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `python -m tasks.pipeline.profiles ARGS...`; returns its exit code and output."""
    monkeypatch.chdir(ROOT)

    def run(*args: str) -> tuple[int, str]:
        code = profiles.main(list(args))
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_the_profiles_are_those_the_readme_names() -> None:
    assert set(PROFILES) == {
        "camvid",
        "enlarge",
        "lesson-gan",
        "lesson-mnist",
        "lesson-numbers",
        "lesson-superres",
        "long",
        "lsun",
        "old-photo",
        "old-photo-small",
        "rehearsal",
        "short",
    }


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_nothing_that_params_do_not_have(name: str) -> None:
    assert list(unknown(PARAMS | {"fit_feature": OF_FIT_PIXEL}, PROFILES[name])) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PROFILES)
def test_what_dvc_makes_of_a_profile_is_right_for_every_stage(
    name: str, profiles_main: Any, tmp_path: Path
) -> None:
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    code, output = profiles_main(name, "crappify.recipe=old-photo")
    args = shlex.split(output)
    assert code == 0 and set(args[::2]) == {"-S"}
    apply_overrides(path, args[1::2])  # what `dvc exp run -S` does

    wanted = merged(merged(PARAMS, PROFILES[name]), {"crappify": {"recipe": "old-photo"}})
    right = tmp_path / "right.yaml"
    right.write_text(yaml.safe_dump(wanted))
    for stage in STAGES:
        module = importlib.import_module(f"tasks.{stage}")
        found, wanted_params = (load_stage(module, stage, file) for file in (path, right))
        # the document as it is: DVC may spell a number differently
        assert found.model_dump(exclude={ALL}) == wanted_params.model_dump(exclude={ALL})


def test_a_wrong_profile_is_an_error_that_lists_the_right_ones(profiles_main: Any) -> None:
    assert profiles_main("tiny") == (
        2,
        "profile: no profile is called 'tiny'; "
        "choose one of: camvid, enlarge, lesson-gan, lesson-mnist, lesson-numbers, "
        "lesson-superres, long, lsun, old-photo, old-photo-small, rehearsal, short\n",
    )


def test_a_setting_by_itself_is_an_override(profiles_main: Any) -> None:
    assert profiles_main("crappify.recipe=colour") == (0, "-S crappify.recipe=colour\n")
