"""A command on a leash: it ends when whoever started it lets go, or dies, however it dies.

    leash.start(["dvc", "repro"])  ->  python leash.py GRACE dvc repro

The starter holds the other end of the leash's standard input; nobody else does. When that end
closes, the whole process group gets SIGINT (which lets DVC and a stage end cleanly) and, after
GRACE seconds, SIGKILL. Knows neither DVC nor Prefect.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO


def start(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    grace: float = 5.0,
    out: IO[str] | int | None = None,
) -> "subprocess.Popen[str]":
    """Start a command that cannot outlive this process; `out` takes all that it says."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__, str(grace), *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.STDOUT if out is not None else None,
        start_new_session=True,
        env=env,
        text=True,  # also turns a progress bar's \r into lines
        encoding="utf-8",
        errors="replace",
    )


def stop(process: "subprocess.Popen[str]", grace: float = 5.0) -> None:
    """Let go, wait, and leave nothing of the process group behind; safe to call twice."""
    with contextlib.suppress(OSError, ValueError):
        assert process.stdin
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace + 2)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def supervise(grace: float, command: list[str]) -> int:
    """Run the command in this process's group until it ends or standard input does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, the command does not inherit it
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    dropped = threading.Event()

    def watch() -> None:
        while os.read(0, 1024):
            pass
        dropped.set()
        os.killpg(0, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    os.killpg(0, signal.SIGKILL if dropped.is_set() else signal.SIGTERM)  # what it left running
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(supervise(float(sys.argv[1]), sys.argv[2:]))
