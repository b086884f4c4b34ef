"""Each new picture of an inbox is restored once, also when the run is killed in between."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lessonpipe.errors import UserError
from lessonpipe.inference.inbox import JOURNAL, Processed, processed, restore_new
from tests.conftest import make_picture


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    for i, name in enumerate(("a.jpg", "deep/b.png", "c.gif")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_picture(40, 30, seed=i).save(folder / name)
    return folder


def new(inbox: Path, model: Path, **options: float) -> list[Processed]:
    """Run once, into `out` beside the inbox."""
    return restore_new(inbox, inbox.parent / "out", model, **{"settled": 0, **options})


def names(results: list[Processed]) -> set[str]:
    return {result.name for result in results}


def test_each_picture_is_restored_once_and_again_when_it_was_changed(
    inbox: Path, model: Path
) -> None:
    assert names(new(inbox, model)) == {"a.jpg", "deep/b.png", "c.gif.png"}
    out = inbox.parent / "out"
    before = (out / "a.jpg").read_bytes()
    assert new(inbox, model) == []
    make_picture(40, 30, seed=9).save(inbox / "a.jpg")
    make_picture(40, 30, seed=10).save(inbox / "new.jpg")
    assert names(new(inbox, model)) == {"a.jpg", "new.jpg"}
    assert (out / "a.jpg").read_bytes() != before
    assert new(inbox, model) == []


def test_a_file_that_is_changed_back_is_restored_again(inbox: Path, model: Path) -> None:
    first = (inbox / "a.jpg").read_bytes()
    new(inbox, model)
    restored = (inbox.parent / "out/a.jpg").read_bytes()
    make_picture(40, 30, seed=9).save(inbox / "a.jpg")
    new(inbox, model)
    (inbox / "a.jpg").write_bytes(first)
    assert names(new(inbox, model)) == {"a.jpg"}
    assert (inbox.parent / "out/a.jpg").read_bytes() == restored
    assert new(inbox, model) == []


def test_a_file_that_is_still_being_written_is_left_for_later(inbox: Path, model: Path) -> None:
    os.utime(inbox / "a.jpg", (time.time() - 60,) * 2)
    assert names(new(inbox, model, settled=30)) == {"a.jpg"}


def test_a_bad_picture_is_reported_once_and_tried_again_when_it_was_changed(
    inbox: Path, model: Path
) -> None:
    (inbox / "bad.jpg").write_text("no picture")
    assert [result.name for result in new(inbox, model) if result.error] == ["bad.jpg"]
    assert new(inbox, model) == []
    make_picture().save(inbox / "bad.jpg")
    assert new(inbox, model) == [processed(inbox.parent / "out")[-1]]
    assert processed(inbox.parent / "out")[-1].error is None


def test_what_was_restored_but_is_not_in_the_journal_is_not_restored_again(
    inbox: Path, model: Path
) -> None:
    new(inbox, model)
    out = inbox.parent / "out"
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*g")}
    lines = (out / JOURNAL).read_text().splitlines(keepends=True)
    (out / JOURNAL).write_text(lines[0] + lines[1][:20])  # killed while it wrote
    assert len(new(inbox, model)) == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*g")} == times
    assert len(processed(out)) == 3


def test_the_longest_name_that_a_disk_takes_can_be_restored(inbox: Path, model: Path) -> None:
    name = "ä" * 125 + "a.jpg"  # 255 bytes
    make_picture(40, 30).save(inbox / name)
    assert name in names(new(inbox, model))
    assert (inbox.parent / "out" / name).is_file()


def test_a_wrong_folder_is_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        restore_new(tmp_path / "nothing", tmp_path / "out", model)


RUN = """
import sys
from pathlib import Path
from lessonpipe.inference.inbox import restore_new
print("up", flush=True)
restore_new(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), settled=0)
"""


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_each_picture_once(
    inbox: Path, model: Path, tmp_path: Path
) -> None:
    for i in range(30):
        make_picture(200, 150, seed=i).save(inbox / f"{i}.jpg")
    out = tmp_path / "killed"
    command = [sys.executable, "-c", RUN, str(inbox), str(out), str(model)]
    for after in (1, 7, 15):
        process = subprocess.Popen(command)
        until = time.monotonic() + 60
        while len(list(out.rglob("*.jpg"))) < after and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(out.rglob("*.jpg"))) < 31
    assert subprocess.run(command, check=False).returncode == 0
    new(inbox, model)
    for path in (tmp_path / "out").rglob("*.*g"):
        assert (out / path.relative_to(tmp_path / "out")).read_bytes() == path.read_bytes()
    assert len(processed(out)) == len(names(processed(out))) == 33
    assert not list(out.rglob(".*.draft"))
