"""A key that is there twice is an error; all else is PyYAML's."""

import pytest
import yaml

from lessonpipe.io.strict_yaml import load_yaml
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "profiles/lesson-gan.yaml"])
def test_what_has_no_key_twice_is_read_as_by_pyyaml(name: str) -> None:
    text = (ROOT / name).read_text()
    assert load_yaml(text) == yaml.safe_load(text)
    merged = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: [{x: 1}, {x: 2}]\n"
    assert load_yaml(merged) == yaml.safe_load(merged) and load_yaml("") is None


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x: {y: [{z: 1, z: 2}]}"])
def test_a_key_that_is_there_twice_is_named_with_its_place(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"'[az]' is there twice(.|\n)*line [13]"):
        load_yaml(text)


def test_code_is_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml("a: !!python/object/apply:os.getcwd []")
