import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.pipeline import child_process

NAP = "import time; time.sleep(60)"
IGNORING = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready', flush=True); "
    + NAP
)


def test_the_exit_code_is_the_commands():
    process = child_process.start([sys.executable, "-c", "raise SystemExit(7)"])
    assert process.wait(20) == 7


def test_stop_interrupts_the_command():
    code = "import time\ntry: print('up', flush=True); time.sleep(60)\nfinally: print('cleaned')"
    process = child_process.start([sys.executable, "-c", code], out=subprocess.PIPE)
    assert process.stdout.readline() == "up\n"
    child_process.stop(process)
    assert "cleaned" in process.stdout.read()


def test_a_command_that_ignores_the_interrupt_is_killed():
    process = child_process.start([sys.executable, "-c", IGNORING], grace=0.3, out=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    child = psutil.Process(process.pid).children()[0]
    child_process.stop(process, 0.3)
    assert gone(child.pid)


def test_what_a_command_leaves_running_is_ended():
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', '{NAP}']).pid)"
    process = child_process.start([sys.executable, "-c", code], out=subprocess.PIPE)
    pid = int(process.stdout.readline())
    process.wait(20)
    assert gone(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_ends_with_a_killed_parent(number: signal.Signals):
    code = (
        "import sys, time; from tasks.pipeline import child_process; import psutil\n"
        f"p = child_process.start([sys.executable, '-c', {IGNORING!r}], grace=0.2)\n"
        "time.sleep(60)"
    )
    root = Path(child_process.__file__).parents[2]
    starter = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout.readline() == "ready\n"
    below = psutil.Process(starter.pid).children(recursive=True)
    assert len(below) == 2
    starter.send_signal(number)
    starter.wait(10)
    assert all(gone(process.pid) for process in below)


def gone(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
