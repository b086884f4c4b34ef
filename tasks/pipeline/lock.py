"""A stage ends with whoever started it, and never runs twice at once in one place."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lessonpipe.environment import environment
from lessonpipe.errors import UserError

STATE_DIR = Path(".lessonpipe")  # locks and checkpoints; not an output, ignored by git


def exit_with_parent(every: float = 0.3) -> None:
    """Watch the parent, and a shell's parent too, from a thread; end at once when one is gone.

    A killed `dvc repro` leaves its stage alive, and the next one would write beside it.
    """
    if environment().detached or not hasattr(os, "getppid"):
        return
    import psutil

    watched = []
    parent = psutil.Process().parent()
    while parent is not None and parent.pid > 1:
        watched.append(parent)
        if parent.name() not in ("sh", "dash", "bash", "zsh"):
            break
        if parent.terminal() is not None and "-c" not in parent.cmdline():
            break  # a person's own shell
        parent = parent.parent()

    def watch() -> None:
        while all(process.is_running() and not _zombie(process) for process in watched):
            time.sleep(every)
        print("the process that started this stage is gone; ending", file=sys.stderr, flush=True)
        os._exit(143)

    if watched:
        threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _zombie(process: "psutil.Process") -> bool:  # type: ignore[name-defined]  # noqa: F821
    import psutil

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def stage_lock(stage: str, wait: float = 10.0) -> Iterator[None]:
    """Hold the stage's lock. Raises `UserError` when another process has it for `wait` seconds.

    The system frees it when the process dies, however it dies.
    """
    folder = STATE_DIR / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{stage}.lock")
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise UserError(
            f"stage {stage} is already running in this folder; wait for it, or end it"
        ) from error
    try:
        yield
    finally:
        lock.release()
