"""Which room may import which: the floors of the package, and the walls between rooms."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_imports import imports

FLOORS = [  # of lessonpipe, from the bottom; a room imports its own and those on floors below
    {"errors", "config", "environment"},
    {"io", "device"},
    {"data"},
    {"crappify", "nets", "cluster"},
    {"losses", "metrics"},
    {"train"},
    {"report", "inference"},
    {"app"},
]
STAGES = {path.stem for path in (ROOT / "tasks").glob("[a-z]*.py")}
WALLS = [  # files or folders, what none of their files imports anywhere, and why
    ("flows/experiments", {f"tasks.{s}" for s in STAGES}, "experiments do not call a stage"),
    ("flows", {f"tasks.{s}" for s in STAGES}, "scheduling runs stages through DVC"),
    ("flows", {"lessons"}, "scheduling knows no lesson's files"),
    ("lessonpipe/cluster", {"torch.nn", "lessonpipe.nets"}, "Ray's room knows no network"),
    ("lessonpipe/train", {"lessonpipe.report"}, "training knows no reporting"),
    ("lessonpipe/train", {"lessonpipe.data"}, "training gets its batches handed in"),
    ("lessonpipe/report", {"lessonpipe.train"}, "a report is of numbers, whoever trained"),
    ("lessons", {"lessonpipe.inference.restorer", "lessonpipe.app.api"}, "no lesson restores"),
]


def files(place: str) -> list[Path]:
    path = ROOT / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def modules(file: Path) -> set[str]:
    """What a file imports, with the names that may be modules themselves."""
    found = {module for module, _ in imports(file)}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def floor_of(room: str) -> int:
    (number,) = (i for i, rooms in enumerate(FLOORS) if room in rooms)
    return number


def test_no_room_of_the_package_imports_upward() -> None:
    arrows = set()
    for file in files("lessonpipe"):
        parts = file.relative_to(ROOT / "lessonpipe").with_suffix("").parts
        if parts == ("__init__",):
            continue  # hands out the Python call of the top floor, lazily
        for module in modules(file):
            top, _, rest = module.partition(".")
            room = rest.partition(".")[0]
            if top == "lessonpipe" and any(room in rooms for rooms in FLOORS):
                arrows.add((parts[0], room))
    assert len(arrows) > 30
    wrong = {
        (above, below)
        for above, below in arrows
        if above != below and floor_of(above) <= floor_of(below)
    }
    same_floor = {("config", "errors"), ("environment", "errors")}
    assert wrong <= same_floor, wrong - same_floor


@pytest.mark.parametrize(("place", "forbidden", "why"), WALLS, ids=[wall[2] for wall in WALLS])
def test_the_wall_stands(place: str, forbidden: set[str], why: str) -> None:
    found = files(place)
    assert found
    broken = [
        (file.relative_to(ROOT).as_posix(), module)
        for file in found
        for module in modules(file)
        if any(is_within(module, room) for room in forbidden)
    ]
    assert broken == [], why


def test_what_stages_share_loads_no_torch_when_it_is_imported() -> None:
    torch = {"torch", "lessonpipe.train", "lessonpipe.nets", "lessonpipe.losses"}
    torch |= {"lessonpipe.device", "lessonpipe.metrics", "lessonpipe.data.pairs"}
    for file in files("tasks/pipeline"):
        top = {module for module, inside in imports(file) if not inside}
        assert not any(is_within(m, room) for m in top for room in torch), file
