"""Child processes that never outlive their parent, however it dies.

    child_process.start(["dvc", "repro"])  ->  python child_process.py GRACE dvc repro

`start` puts a command on a leash: a supervisor, this file run as a script, whose standard input is
a pipe that the parent alone holds open. When the parent closes it, or dies, the whole process group
gets SIGINT (which lets DVC and a stage end cleanly) and, after GRACE seconds, SIGKILL.

`exit_with_parent` is for a process that somebody else's code started, such as a stage by DVC.

Linux's PR_SET_PDEATHSIG would do neither: it is of the direct parent alone, and DVC starts a stage
through a shell.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO


def start(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    grace: float = 5.0,
    out: IO[str] | int | None = None,
    umask: int = -1,
) -> "subprocess.Popen[str]":
    """Start `command` so that it ends with this process; `out` receives its stdout and stderr.

    `umask` is its own, by default this process's.
    """
    return subprocess.Popen(
        [sys.executable, "-P", __file__, str(grace), *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.STDOUT if out is not None else None,
        start_new_session=True,
        env=env,
        umask=umask,
        text=True,  # also turns a progress bar's \r into lines
        encoding="utf-8",
        errors="replace",
    )


def stop(process: "subprocess.Popen[str]", grace: float = 5.0) -> None:
    """Interrupt the command, wait, and kill what is left of its group; safe to call twice."""
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
    # ends what the command left running in the background, and this process with it when killed
    os.killpg(0, signal.SIGKILL if dropped.is_set() else signal.SIGTERM)
    return code if code >= 0 else 128 - code


def exit_with_parent(poll_seconds: float = 0.3) -> None:
    """Watch the parent process from a thread, and exit at once with code 143 when it is gone.

    Where the parent is a shell, its parent is watched, too: a killed `dvc repro` leaves its shell
    and its stage alive, and the next one would write to the same files. Of a person's interactive
    shell the parent is not watched. LESSONPIPE_DETACHED switches all of it off.
    """
    from lessonpipe.environment import environment  # not at the top: `start` runs this file alone

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
            break  # interactive
        parent = parent.parent()

    def is_alive(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def watch() -> None:
        while all(map(is_alive, watched)):
            time.sleep(poll_seconds)
        print("the process that started this stage is gone; ending", file=sys.stderr, flush=True)
        os._exit(143)

    if watched:
        threading.Thread(target=watch, daemon=True, name="exit-with-parent").start()


if __name__ == "__main__":
    raise SystemExit(supervise(float(sys.argv[1]), sys.argv[2:]))
