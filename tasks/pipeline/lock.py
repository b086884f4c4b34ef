"""Locks between processes: a stage never runs twice at once in a folder, and flow runs take turns.

The operating system frees a lock when its process dies, however it dies.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lessonpipe.errors import UserError

STATE_DIR = Path(".lessonpipe")  # locks and checkpoints; not an output, ignored by git


@contextmanager
def stage_lock(stage: str, timeout: float = 10.0) -> Iterator[None]:
    """Hold the stage's lock. Raises `UserError` if another process holds it for `timeout` s."""
    try:
        acquired = _file_lock(stage).acquire(timeout)
    except Timeout as error:
        raise UserError(
            f"stage {stage} is already running in this folder; wait for it, or end it"
        ) from error
    with acquired:
        yield


@contextmanager
def run_lock(log: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of flow runs, after a line in the log if another run has to end first."""
    lock = _file_lock("run")
    try:
        acquired = lock.acquire(timeout=0)
    except Timeout:
        log("another run is at work in this folder; waiting for its end")
        acquired = lock.acquire(poll_interval=0.5)
    with acquired:
        yield


def _file_lock(name: str) -> FileLock:
    folder = STATE_DIR / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")
