"""Real processes that start at once: forked from a server that has loaded torch and Ray."""

import atexit
import contextlib
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import PATIENCE, until

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.forked_preload"])


class Forked:
    """A process that calls a function in `folder`; its output goes to `folder/NAME.log`."""

    def __init__(
        self, folder: Path, name: str, call: Callable[..., Any], *args: Any, **env: str
    ) -> None:
        self.log = folder / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.process = CONTEXT.Process(target=_call, args=(folder, self.log, env, call, *args))
        self.process.start()
        STARTED.append(self)

    def text(self) -> str:
        """All output so far."""
        return self.log.read_text() if self.log.is_file() else ""

    def wait_for_line(self, start: str) -> None:
        """Wait for a line of output that starts so; fails if the process ends before."""
        line = re.compile(rf"^{re.escape(start)}", re.MULTILINE)

        def found() -> bool:
            assert self.process.is_alive(), self.text()
            return line.search(self.text()) is not None

        until(found, every=0.02)

    def kill(self) -> None:
        """End the process and its children at once, as a power cut would."""
        assert self.process.is_alive() and self.process.pid, self.text()
        with contextlib.suppress(ProcessLookupError):  # it has no group yet
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()

    def finish(self) -> str:
        """Wait for a good end, and return all output."""
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.kill()
        assert self.process.exitcode == 0, self.text()[-4000:]
        return self.text()


STARTED: list[Forked] = []


@atexit.register
def _kill_all() -> None:
    """End what a failed test left: multiprocessing would wait for it, for ever."""
    for one in STARTED:
        if one.process.is_alive():
            one.kill()


def fork_stage(stage: str, folder: Path, **env: str) -> Forked:
    """What `python -m tasks STAGE` does in a folder, on the CPU."""
    return Forked(folder, stage, _run_stage, stage, LESSONPIPE_DEVICE="cpu", **env)


def _run_stage(stage: str) -> None:
    from tasks.__main__ import main

    sys.exit(main([stage]))


def _call(
    folder: Path, log: Path, env: Mapping[str, str], call: Callable[..., Any], *args: Any
) -> None:
    os.setsid()
    stream = os.open(log, os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(stream, number)
    os.environ.update(env)
    os.chdir(folder)
    call(*args)
