"""hashes.txt is constraints.txt once more, with the SHA-256 of every file that may be installed."""

import re
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

TEXT = (ROOT / "hashes.txt").read_text()
PACKAGES = re.findall(
    r"(?m)^([\w.-]+)==(\S+)(.*)((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)*)$", TEXT
)
OTHERS = {"setuptools"}  # pip's own company, which constraints.txt leaves to it


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pinned}


def needed(name: str, extras: set[str]) -> set[str]:
    """What an installed package needs here, with all that those need."""
    found: set[str] = set()
    todo = [(name, frozenset(extras))]
    seen = set(todo)
    while todo:
        package, wanted = todo.pop()
        try:
            listed = [Requirement(text) for text in requires(package) or []]
        except PackageNotFoundError:
            continue
        for one in listed:
            marks = [
                one.marker.evaluate({"extra": extra}) if one.marker else True
                for extra in ("", *wanted)
            ]
            if any(marks):
                step = (canonicalize_name(one.name), frozenset(one.extras))
                found.add(step[0])
                todo += [step] if step not in seen else []
                seen.add(step)
    return found


def test_its_versions_are_the_constraints_and_each_has_hashes() -> None:
    assert len(PACKAGES) > 60 and len(PACKAGES) == len(re.findall(r"(?m)^\w", TEXT))
    pinned = constraints()
    for name, version, marker, hashes in PACKAGES:
        assert hashes.count("--hash=sha256:") >= 1, name
        if canonicalize_name(name) in pinned:
            assert version == pinned[canonicalize_name(name)], name
        else:  # what is for other systems and Pythons than those that are tested
            assert name in OTHERS or re.search("python_full_version|sys_platform", marker), name


def test_it_has_all_that_restoring_needs_by_the_command_and_on_the_page() -> None:
    wanted = needed("lessonpipe", {"page", "heic"})
    assert {"torch", "gradio", "pillow-heif", "pydantic-core"} <= wanted
    assert wanted <= {canonicalize_name(name) for name, *_ in PACKAGES}


def test_it_names_no_place_to_fetch_from() -> None:
    assert not re.search(r"://|index|find-links|trusted", TEXT)
    assert TEXT.startswith("#") and "make hashes" in TEXT.split("\n")[1]
