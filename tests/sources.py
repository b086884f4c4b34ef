"""Which of the project's own files a stage is made of: read from its imports, nothing is run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# what tells, guards, writes and carries, but never changes a result; not followed further
PLUMBING = {
    "lessonpipe/io/__init__.py",
    "lessonpipe/__init__.py",
    "lessonpipe/cluster/__init__.py",
    "lessonpipe/cluster/remote.py",
    "lessonpipe/cluster/map.py",
    "lessonpipe/cluster/file_store.py",
    "lessonpipe/cluster/local.py",
    "lessonpipe/cluster/session.py",
    "lessonpipe/cluster/ray_train.py",
    "lessonpipe/environment.py",
    "lessonpipe/errors.py",
    "lessonpipe/inference/lineage.py",
    "lessonpipe/io/atomic.py",
    "lessonpipe/io/git.py",
    "lessonpipe/io/hashing.py",
    "lessonpipe/io/journal.py",
    "lessonpipe/io/transfer.py",
    "lessonpipe/io/places.py",
    "lessonpipe/io/printable.py",
    "lessonpipe/io/progress.py",
    "lessonpipe/io/storage.py",
    "lessonpipe/io/strict_yaml.py",
    "lessonpipe/io/sync.py",
    "tasks/__init__.py",
    "tasks/pipeline/dvc_files.py",
    "tasks/pipeline/lock.py",
    "tasks/pipeline/journal.py",
    "tasks/pipeline/launch.py",
    "tasks/pipeline/live.py",
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
        if name in found or name in PLUMBING:
            continue
        found[name] = None
        waiting.extend(_imports(file))
    return [name for name in found if _does(ROOT / name)]


def _does(file: Path) -> bool:
    """Whether a file holds more than its docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


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
            if name.split(".")[0] in ("lessonpipe", "lessons", "tasks"):
                yield from filter(None, map(_file, _with_parents(name)))


def _with_parents(module: str) -> list[str]:
    """`a`, `a.b`, `a.b.c`: Python runs the packages on the way, too."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
