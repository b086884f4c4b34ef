"""Which of the project's own files a stage is made of: read from its imports, nothing is run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# what tells, guards and carries, but never changes a result
PLUMBING = {
    "lessonpipe/__init__.py",
    "lessonpipe/errors.py",
    "lessonpipe/progress.py",
    "tasks/__init__.py",
    "tasks/guard.py",
    "tasks/sources.py",
    "tasks/work.py",
}


def sources(module: str) -> list[str]:
    """The files that `module` is made of, its own first, relative to the project's folder."""
    start = _file(module)
    assert start is not None, module
    found: dict[str, None] = {}
    waiting = [start]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(ROOT).as_posix()
        if name in found:
            continue
        found[name] = None
        waiting.extend(_imports(file))
    return [name for name in found if name not in PLUMBING]


@cache
def _imports(file: Path) -> tuple[Path, ...]:
    return tuple(_walk(file))


def _walk(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("lessonpipe", "tasks") and (path := _file(name)):
                yield path


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
