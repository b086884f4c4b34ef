"""Each new picture of an inbox is restored once, also when the run is killed in between."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from lessonpipe.errors import UserError
from lessonpipe.inference import batch
from lessonpipe.inference.inbox import JOURNAL, QUARANTINE, Processed, processed, restore_new
from tests.conftest import make_picture, until


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


def test_what_fails_for_a_reason_that_may_pass_is_tried_three_times_then_named(
    inbox: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batch.restore_file

    def fail(restorer: object, source: Path, *args: object, **options: object) -> list[str]:
        if source.name == "a.jpg":
            raise OSError(errno.EIO, "Input/output error")
        return real(restorer, source, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "restore_file", fail)
    quarantine = inbox.parent / "out" / QUARANTINE
    assert len(new(inbox, model)) == 3 and not quarantine.exists()
    assert names(new(inbox, model)) == {"a.jpg"} and not quarantine.exists()
    assert names(new(inbox, model)) == {"a.jpg"}
    assert quarantine.read_text() == f"a.jpg: {inbox}/a.jpg: Input/output error\n"
    assert new(inbox, model) == []
    monkeypatch.undo()
    make_picture(40, 30, seed=9).save(inbox / "a.jpg")
    assert names(new(inbox, model)) == {"a.jpg"} and not quarantine.exists()


def test_a_date_in_the_future_is_no_reason_to_wait(inbox: Path, model: Path) -> None:
    for name, years in (("a.jpg", 1), ("c.gif", -60)):
        os.utime(inbox / name, (time.time() + years * 365 * 86400,) * 2)
    until(lambda: time.time() - (inbox / "a.jpg").stat().st_ctime > 1)
    assert {"a.jpg", "c.gif.png"} <= names(new(inbox, model, settled=1))


def test_links_out_of_the_inbox_are_not_followed(inbox: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    make_picture(40, 30, seed=5).save(tmp_path / "secret/letter.png")
    (inbox / "file.png").symlink_to(tmp_path / "secret/letter.png")
    (inbox / "folder").symlink_to(tmp_path / "secret")
    (inbox / "inside.png").symlink_to("deep/b.png")
    (inbox / "nowhere.png").symlink_to("nothing.png")
    results = new(inbox, model)
    assert names(results) >= {"a.jpg", "inside.png", "deep/b.png"}
    failed = {result.name for result in results if result.error}
    assert failed == {"file.png", "folder/letter.png"}
    assert not (tmp_path / "out/file.png").exists() and not (tmp_path / "out/folder").exists()
    assert new(inbox, model) == []


def test_files_that_cannot_be_read_whole_are_named_and_the_others_are_restored(
    inbox: Path, model: Path
) -> None:
    with open(inbox / "0.tif", "wb") as stream:  # the first in the order of names
        stream.truncate(60 * 2**30)  # sparse
    Image.new("1", (12_000, 12_000)).save(inbox / "1.png")
    (inbox / "2.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n")
    started = time.monotonic()
    results = new(inbox, model)
    assert time.monotonic() - started < 30
    reasons = {result.name: result.error for result in results if result.error}
    assert "61,440 MB are more than 2,048 MB" in str(reasons["0.tif"])
    assert "12000x12000 pixels are more than 120 million" in str(reasons["1.png"])
    assert "not a picture" in str(reasons["2.jpg"])
    assert set(reasons) == {"0.tif", "1.png", "2.jpg"} and len(results) == 6
    assert len((inbox.parent / "out" / QUARANTINE).read_text().splitlines()) == 3


def test_a_journal_with_damaged_lines_is_read_as_far_as_it_goes(inbox: Path, model: Path) -> None:
    new(inbox, model)
    journal = inbox.parent / "out" / JOURNAL
    whole = journal.read_bytes()
    bad = [
        b"",
        b"{",
        b"null",
        b'"x"',
        b"[1]",
        b"\0" * 40,
        b"\xff\xfe",
        b'{"name": 1}',
        b'{"name":"a"}',
    ]
    journal.write_bytes(b"\n".join([*bad, whole]))
    assert new(inbox, model) == [] and len(processed(inbox.parent / "out")) == 3


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
