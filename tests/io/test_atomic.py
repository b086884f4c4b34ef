"""Files are complete or absent, whoever writes or is killed at the same time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lessonpipe.io.atomic import atomic_file, atomic_folder, atomic_write

WRITE = """
import os, sys
from pathlib import Path
from lessonpipe.io.atomic import atomic_file
with atomic_file(Path("out/a.txt")) as draft:
    with draft.open("w") as stream:
        stream.write(sys.argv[1] * 50_000)
        stream.flush()
        print("half", flush=True)
        sys.stdin.readline()
        stream.write(sys.argv[1] * 50_000)
"""


@pytest.fixture
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begin(letter: str) -> "subprocess.Popen[str]":
    """A process that has written half of its letters to `out/a.txt`, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, letter],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "half\n"
    return process


@pytest.mark.usefixtures("_in_tmp_path")
def test_two_processes_can_write_the_same_file_at_the_same_moment() -> None:
    first, second = begin("a"), begin("b")
    assert not Path("out/a.txt").exists()
    for process, letter in ((first, "a"), (second, "b")):
        process.communicate("go\n")
        assert process.returncode == 0
        assert Path("out/a.txt").read_text() == letter * 100_000
    assert [path.name for path in Path("out").iterdir()] == ["a.txt"]


@pytest.mark.usefixtures("_in_tmp_path")
def test_the_draft_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not() -> None:
    killed, living = begin("a"), begin("b")
    killed.kill()
    killed.communicate()
    assert len(list(Path("out").iterdir())) == 2
    atomic_write(Path("out/other.txt"), "c")
    assert len(list(Path("out").iterdir())) == 2  # its file, and the living one's draft
    living.communicate("go\n")
    assert Path("out/a.txt").read_text() == "b" * 100_000
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.txt", "other.txt"]


def test_threads_can_write_the_same_file_at_the_same_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    contents = [letter * 10_000 for letter in "abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: atomic_write(path, text), contents * 20))
    assert path.read_text() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there_and_no_draft(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.txt", "before", fsync=True)
    with atomic_folder(tmp_path / "b") as draft:
        (draft / "c").write_text("before")
    for atomic, path in ((atomic_file, tmp_path / "a.txt"), (atomic_folder, tmp_path / "b")):
        with pytest.raises(OSError, match="disk is full"), atomic(path) as draft:  # noqa: PT012
            (draft if path.suffix else draft / "c").write_text("after")
            raise OSError("the disk is full")
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b/c").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_longest_name_that_a_disk_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 127 + "a")  # 255 bytes
    atomic_write(path, b"content")
    assert path.read_bytes() == b"content"
