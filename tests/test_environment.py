"""Environment variables: typed, checked in a sentence, and all of them in the README."""

import re

import pytest

from lessonpipe.environment import Environment, environment, variable_name
from lessonpipe.errors import UserError
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Environment.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)


def test_the_readme_lists_every_variable_with_its_description() -> None:
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| (.+) \|$", (ROOT / "README.md").read_text(), re.M)
    fields = Environment.model_fields.items()
    assert rows == [(variable_name(name), field.description) for name, field in fields]
    assert len(rows) == 17


def test_no_code_reads_a_variable_that_is_not_a_field() -> None:
    known = {variable_name(field) for field in Environment.model_fields}
    for folder in ("lessonpipe", "lessons", "tasks", "flows"):
        for file in (ROOT / folder).rglob("*.py"):
            named = set(re.findall(r"\bLESSONPIPE_[A-Z_0-9]*[A-Z0-9]\b", file.read_text()))
            assert named <= known, file


def test_variables_are_read_at_each_call_and_empty_ones_count_as_unset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert environment() == Environment.model_construct()
    monkeypatch.setenv("LESSONPIPE_WORKERS", " 3 ")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("LESSONPIPE_DETACHED", "1")
    monkeypatch.setenv("LESSONPIPE_HUB", "  ")
    found = environment()
    assert (found.workers, found.ray_address, found.detached) == (3, "head:6379", True)
    assert found.hub is None
    monkeypatch.setenv("LESSONPIPE_WORKERS", "")
    assert environment().workers is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LESSONPIPE_WORKERS", "0", "a whole number above 0"),
        ("LESSONPIPE_WORKERS", "two", "a whole number above 0"),
        ("LESSONPIPE_LOADERS", "-1", "a whole number of at least 0"),
        ("LESSONPIPE_CACHE_GB", "inf", "a number of at least 0"),
        ("LESSONPIPE_CACHE_GB", "much", "a number of at least 0"),
        ("LESSONPIPE_DETACHED", "maybe", "`1` for a stage that outlives"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_variable_value_and_what_is_right(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"{variable}='{value}': it must be .*{expected}"):
        environment()
