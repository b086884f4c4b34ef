"""A stage ends with its parent and never runs twice at once; a full disk leaves nothing broken."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from lessonpipe.errors import UserError
from tasks.pipeline import lock
from tests.conftest import ROOT, make_picture

STAGE = """
import pathlib, time
from tasks.pipeline import child_process, lock
child_process.exit_with_parent(poll_seconds=0.05)
with lock.stage_lock("work", timeout=0.1):
    pathlib.Path("started").touch()
    time.sleep(60)
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STAGE!r}])
open("pid.draft", "w").write(str(child.pid))
import os; os.rename("pid.draft", "pid")
child.wait()
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts real processes in `tmp_path`, and ends them and their children afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESSONPIPE_DETACHED", raising=False)
    started: list[psutil.Process] = []

    def run(args: list[str], **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(args, env={**os.environ, **env}, start_new_session=True)
        started.append(psutil.Process(process.pid))
        return process

    yield run
    if Path("pid").exists() and psutil.pid_exists(pid := int(Path("pid").read_text())):
        started.append(psutil.Process(pid))
    for process in started:
        if process.is_running():
            process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def begin(start: Start, args: list[str], **env: str) -> tuple[subprocess.Popen[bytes], int]:
    parent = start(args, **env)
    assert wait_for(Path("started").exists)
    return parent, int(Path("pid").read_text())


def test_a_stage_ends_with_its_killed_parent(start: Start) -> None:
    parent, child = begin(start, [sys.executable, "-c", PARENT])
    assert not gone(child)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: gone(child), 5)


def test_a_stage_ends_with_the_killed_parent_of_its_shell(start: Start) -> None:
    """As DVC starts it: the runner, a shell, the stage. The shell outlives the runner."""
    shell = f'{sys.executable} -c "$CODE" & echo $! > pid; wait; true'
    runner = f"import subprocess; subprocess.run(['/bin/sh', '-c', {shell!r}])"
    parent, child = begin(start, [sys.executable, "-c", runner], CODE=STAGE)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: gone(child), 5)


def test_a_detached_stage_outlives_its_parent(start: Start) -> None:
    parent, child = begin(start, [sys.executable, "-c", PARENT], LESSONPIPE_DETACHED="1")
    parent.kill()
    parent.wait()
    assert not wait_for(lambda: gone(child), 0.5)


def test_a_stage_does_not_run_twice_at_once(start: Start) -> None:
    begin(start, [sys.executable, "-c", PARENT])
    before = time.monotonic()
    with (
        pytest.raises(UserError, match="stage work is already running"),
        lock.stage_lock("work", 0.2),
    ):
        pass
    assert 0.2 <= time.monotonic() - before < 3
    with lock.stage_lock("other", 0.2):
        pass


def test_a_killed_stage_frees_its_lock(start: Start) -> None:
    _, child = begin(start, [sys.executable, "-c", PARENT])
    os.kill(child, signal.SIGKILL)
    with lock.stage_lock("work", 5):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB as `tmp_path/data`; skips where nothing can be mounted."""
    place = tmp_path / "data"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root on Linux can make a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


Door = Callable[..., subprocess.CompletedProcess[str]]


def params(tmp_path: Path) -> Path:
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    whole["download"] |= {"source": "folder", "folder": "my"}
    whole["crappify"]["group_pattern"] = None
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(whole))
    return tmp_path / "mine.yaml"


def test_a_download_to_a_full_disk_is_an_error_in_a_sentence_and_leaves_nothing(
    small_disk: Path, tmp_path: Path, photos: Callable[..., Path], door: Door
) -> None:
    photos(8, 400, 300, folder="my")
    done = door("tasks", "download", "--params", params(tmp_path))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr and "free some space" in done.stderr
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_crappify_on_a_full_disk_is_an_error_in_a_sentence_and_leaves_its_draft_alone(
    small_disk: Path, tmp_path: Path, door: Door
) -> None:
    (small_disk / "photos").mkdir()
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        make_picture(320, 320, seed).save(small_disk / "photos" / name, quality=40)
    done = door("tasks", "crappify", "--params", params(tmp_path), LESSONPIPE_WORKERS="2")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr and "free some space" in done.stderr
    draft, photos = sorted(path.name for path in small_disk.iterdir())
    assert photos == "photos" and draft.startswith(".crappify-")  # the next run continues it


def test_restoring_to_a_full_disk_is_an_error_in_a_sentence_and_leaves_nothing(
    small_disk: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lessonpipe.app.cli import main

    make_picture(400, 300).save(tmp_path / "a.png")
    args = [tmp_path / "a.png", "-o", small_disk, "--model", model]
    assert main(["restore", *map(str, args)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(small_disk.iterdir()) == []


def test_a_second_run_waits_for_the_first_and_says_so(start: Start) -> None:
    code = (
        "from tasks.pipeline.lock import run_lock\nwith run_lock(print):\n    open('started', 'w')"
    )
    first = start([sys.executable, "-c", f"{code}; import time; time.sleep(60)"])
    assert wait_for(Path("started").exists)
    second = start([sys.executable, "-c", f"{code}.close(); print('my turn')"])
    assert not wait_for(lambda: second.poll() is not None, 2)
    first.kill()
    assert wait_for(lambda: second.poll() == 0)
