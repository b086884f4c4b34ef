"""Patterns find what Python's own `re` and `glob` find, and none of them can hang."""

import glob
import itertools
import re
import time
from pathlib import Path

import pytest
import yaml

from lessonpipe.data.patterns import finder, matches
from lessonpipe.data.photos import group_of, group_split
from lessonpipe.errors import UserError
from tests.conftest import ROOT

OURS = yaml.safe_load((ROOT / "params.yaml").read_text())["crappify"]
PATTERNS = [
    *(OURS["group_pattern"], OURS["train_only"], r"(\w)\d", r"(69|730|\d\d)\d*\.jpg$", ""),
    *(r"(a)|(b)", r"(?i)IMG_(\d{8})", r"(?P<walk>\w+)/", r"(?<=/)\w(?!\d)", r"(.)\1", "[[a]", "é+"),
]
NAMES = [
    *(
        "pexels-abc-69123.jpg",
        "pexels-x-7305.jpg",
        "various/éé.png",
        "img_20240102_1.jpg",
        "ab",
        "",
    ),
    *("b0.jpg", "walk/a[1].jpg", "zoo/a1.jpg", "line\nbreak.jpg"),
]


@pytest.mark.filterwarnings("ignore:Possible nested set")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_groups_are_found_as_by_re(pattern: str) -> None:
    for name in NAMES:
        match = re.search(pattern, name)
        assert finder(pattern)(name) == (match and (match[0], *match.groups(default="")))
        group = match and ("-".join(g for g in match.groups() if g) or match[0])
        assert group_of(name, pattern or None) == (name if group is None or not pattern else group)


@pytest.mark.parametrize("pattern", [r"(a|aa)+$", r"((a{1,1000}){1,1000}){1,1000}b"])
@pytest.mark.parametrize("key", ["group_pattern", "train_only"])
def test_a_pattern_that_would_take_for_ever_is_given_up(pattern: str, key: str) -> None:
    names = [f"{'a' * 200}{number}!" for number in range(3)]
    start = time.process_time()
    with pytest.raises(UserError, match="has not ended after 1 s in the name 'aaa"):
        group_split(names, **{"group_pattern": None, "valid_share": 0.5, "seed": 0, key: pattern})
    assert time.process_time() - start < 5


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "*", "(?P<1>a)"])
def test_what_is_no_regular_expression_is_told(pattern: str) -> None:
    with pytest.raises(UserError, match="is no regular expression"):
        finder(pattern)


PARTS = ["**", "a", "b*", "*"]
FILES = ["a", "b1/a", "a/b/a", "b/b/b/b", "a/a/a"]


def test_the_same_files_are_found_as_by_glob(tmp_path: Path) -> None:
    for number, file in enumerate(FILES):
        place = tmp_path / str(number) / file  # each alone: a name is a file here, a folder there
        place.parent.mkdir(parents=True)
        place.touch()
    for length in (1, 2, 3):
        for parts in itertools.product(PARTS, repeat=length):
            if parts[-1] == "**":  # of which glob finds folders, too
                continue
            for number, file in enumerate(FILES):
                folder = tmp_path / str(number)
                found = glob.glob("/".join(parts), root_dir=folder, recursive=True)
                assert matches(file.split("/"), parts) == (file in found), (file, parts)


def test_a_glob_of_many_folders_ends() -> None:
    deep = ["a"] * 200
    assert matches(deep, ["**", "a"] * 60) and not matches(deep, [*["**", "a"] * 60, "b"])
    assert matches(deep, ["**"] * 500)
