"""Very many pictures: flat memory, and after a kill only what is missing."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import ROOT, make_picture

JOURNAL = "data/.crappify-*/done.jsonl"  # of a draft, whose name changes with each run
COUNT = 10_000
BYTES_A_PICTURE = 2500  # that memory may grow by: of the list of pairs
PARAMS = {
    "seed": 1,
    "recipes": {},
    "crappify": {
        "recipe": [{"resize": {"shorter": 24}}, "text", "jpeg"],
        "quality": [10, 70],
        "group_pattern": None,
        "valid_share": 0.1,
        "tiles": {"tile_px": None, "train": 1, "valid": 1},
    },
}


def used(process: psutil.Process, seconds: dict[int, float]) -> int:
    """Bytes of a process and its children that are theirs alone, and their processor `seconds`."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += one.memory_info().rss - one.memory_info().shared
            seconds[one.pid] = sum(one.cpu_times()[:2])
    return total


@pytest.mark.slow
def test_very_many_pictures_take_flat_memory_and_a_killed_run_goes_on(
    tmp_path: Path,
) -> None:
    contents = []
    for i in range(50):
        make_picture(36, 32, seed=i).save(tmp_path / "one.jpg", quality=85)
        contents.append((tmp_path / "one.jpg").read_bytes())
    for i in range(COUNT):
        path = tmp_path / f"data/photos/{i // 1000:03d}/{i:06d}.jpg"
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(contents[i % 50] + i.to_bytes(8, "big"))  # no two the same
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    command = [sys.executable, "-m", "tasks", "crappify"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LESSONPIPE_WORKERS": "2"}

    first = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)
    journal = None
    until = time.monotonic() + 300
    while time.monotonic() < until and first.poll() is None:
        journal = journal or next(tmp_path.glob(JOURNAL), None)
        if journal and journal.stat().st_size > 400_000:  # about a tenth
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "data/crappify").exists()
    assert journal
    done = journal.stat().st_size
    warm = done + min(800_000, (390 * COUNT - done) // 3)  # rows come in groups, of 390 bytes each

    again = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    memory: list[int] = []
    seconds: dict[int, float] = {}

    def watch() -> None:
        process, at_work = psutil.Process(again.pid), False
        while again.poll() is None:
            with contextlib.suppress(psutil.Error, OSError):
                bytes_used = used(process, seconds)
                found = [each.stat().st_size for each in tmp_path.glob(JOURNAL)]
                at_work = at_work or max(found, default=0) > warm
                if at_work:
                    memory.append(bytes_used)
            time.sleep(0.25)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = again.communicate(timeout=600)
    watcher.join()
    assert again.returncode == 0, said
    kept = int(re.search(r"resuming after (\d+) photos", said)[1])  # type: ignore[index]
    assert COUNT / 20 < kept < COUNT
    each = sum(seconds.values()) / (COUNT - kept)
    print(f"{each * 1000:.1f} ms of a core a picture; memory {max(memory) / 1e6:.0f} MB at most")
    assert each < 2 / 300  # two idle cores make 300 a second, beside whatever else runs

    pairs = json.loads((tmp_path / "data/crappify/manifest.json").read_text())["pairs"]
    assert len(pairs) == COUNT == len({pair["crappy"] for pair in pairs})
    assert sum(1 for path in (tmp_path / "data/crappify/crappy").rglob("*.jpg")) == COUNT
    assert max(memory) - memory[0] < BYTES_A_PICTURE * COUNT, memory
