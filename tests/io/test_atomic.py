"""Files are complete or absent, whoever writes or is killed at the same time."""

import errno
import os
import re
import shutil
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


def begin(letter: str, code: str = WRITE) -> "subprocess.Popen[str]":
    """A process that has written half of its letters, to `out/a.txt`, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, letter],
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


FOLDER = """
import sys
from pathlib import Path
from lessonpipe.io.atomic import atomic_folder
with atomic_folder(Path("out/model"), fsync=True) as draft:
    (draft / "a").write_text(sys.argv[1])
    print("half", flush=True)
    sys.stdin.readline()
    (draft / "b").write_text(sys.argv[1])
"""


@pytest.mark.usefixtures("_in_tmp_path")
def test_two_processes_can_write_the_same_folder_and_the_draft_of_a_killed_one_is_removed() -> None:
    first, second, killed = (begin(letter, FOLDER) for letter in "abc")
    killed.kill()
    killed.communicate()
    for process, letter in ((first, "a"), (second, "b")):
        process.communicate("go\n")
        assert process.returncode == 0
        assert [path.read_text() for path in Path("out/model").iterdir()] == [letter] * 2
    assert len(list(Path("out").iterdir())) == 2  # the killed one's draft
    atomic_write(Path("out/other.txt"), "c")
    assert sorted(path.name for path in Path("out").iterdir()) == ["model", "other.txt"]


KILLED_BETWEEN = """
import os, signal
from pathlib import Path
from lessonpipe.io import atomic
rename, count = os.rename, []
def once(old, new):
    rename(old, new)
    if "old" in str(new):
        os.kill(os.getpid(), signal.SIGKILL)
os.rename = once
with atomic.atomic_folder(Path("out/model")) as draft:
    (draft / "a").write_text("new")
"""


@pytest.mark.usefixtures("_in_tmp_path")
def test_a_folder_whose_replacement_was_killed_half_way_is_put_back() -> None:
    with atomic_folder(Path("out/model")) as draft:
        (draft / "a").write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED_BETWEEN]).returncode == -9
    assert not Path("out/model").exists()
    with atomic_folder(Path("out/other")):  # whatever is written there next
        assert Path("out/model/a").read_text() == "old"
    assert sorted(path.name for path in Path("out").iterdir()) == ["model", "other"]


def test_drafts_are_new_files_under_names_that_differ_every_time(tmp_path: Path) -> None:
    names = set()
    for _ in range(3):
        with atomic_file(tmp_path / "a.txt") as draft:
            assert draft.is_file() and not draft.is_symlink() and draft.stat().st_size == 0
            names.add(draft.name)
        with atomic_folder(tmp_path / "b") as draft:
            names.add(draft.name)
    assert len(names) == 6


@pytest.mark.parametrize("kind", [errno.ENOSPC, errno.EACCES, errno.ENOMEM, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace", "rename"])
def test_an_error_of_the_disk_leaves_what_was_there_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, call: str
) -> None:
    atomic_write(tmp_path / "a.txt", "before")
    with atomic_folder(tmp_path / "b") as draft:
        (draft / "c").write_text("before")

    def fails(*_: object) -> None:
        raise OSError(kind, os.strerror(kind))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails)
        for atomic, path in ((atomic_file, tmp_path / "a.txt"), (atomic_folder, tmp_path / "b")):
            if call == ("rename" if path.suffix else "replace"):
                continue
            with pytest.raises(OSError) as raised, atomic(path, fsync=True) as draft:
                (draft if path.suffix else draft / "c").write_text("after")
            assert raised.value.filename == str(path) or kind in (errno.EACCES, errno.ENOMEM)
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "b/c").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_beyond_the_limit_of_sizes_leaves_what_was_there(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.txt", "before")
    code = (
        "import resource, signal; from pathlib import Path\n"
        "from lessonpipe.io.atomic import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "atomic_write(Path('a.txt'), bytes(5000), fsync=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert "File too large: 'a.txt'" in done.stderr
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace shows what is synced, and when")
def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_returns(
    tmp_path: Path,
) -> None:
    code = (
        "from pathlib import Path; from lessonpipe.io.atomic import atomic_write, atomic_folder\n"
        "atomic_write(Path('new/a.txt'), 'x', fsync=True)\n"
        "with atomic_folder(Path('b'), fsync=True) as draft: (draft / 'c').write_text('x')"
    )
    command = ["strace", "-f", "-y", "-e", "trace=fsync,rename", "-o", "log", sys.executable]
    done = subprocess.run([*command, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    if "PTRACE" in done.stderr.upper():
        pytest.skip("processes cannot be traced here")
    draft = r"[^\s]*/\.{}\.[^/]*\.draft"
    expected = [
        rf"fsync\(\d+<{tmp_path}>",  # the name `new`
        rf"fsync\(\d+<{draft.format('a.txt')}>",
        r"rename\(.*a.txt\.",
        rf"fsync\(\d+<{tmp_path}/new>",
        rf"fsync\(\d+<{draft.format('b')}/c>",
        rf"fsync\(\d+<{draft.format('b')}>",
        r"rename\(.*b\.",
        rf"fsync\(\d+<{tmp_path}>",
    ]
    calls = re.compile(r"(fsync|rename)\(")
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if calls.search(line)]
    assert len(lines) == len(expected), lines
    for line, pattern in zip(lines, expected, strict=True):
        assert re.search(pattern, line), (pattern, line)
