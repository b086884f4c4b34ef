"""A stranger's text can be shown: nothing of it steers a terminal, and nothing starts a line."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lessonpipe.app.cli import main
from lessonpipe.io.printable import printable, printable_lines
from tests.conftest import make_picture

ESCAPES = "\x1b]0;owned\x07\x1b[2J"
NAMES = [
    f"{ESCAPES}a.png",
    "b\nlessonpipe: all is well.png",
    "\u202egnp.c\u2069.png",
    "d\r\x9b.png",
]


def test_what_steers_a_terminal_is_spelt_out_and_letters_stay() -> None:
    assert printable("a\nb\x1b[2J\x9b\u202e\u2066\ufeff") == (
        "a\\nb\\x1b[2J\\x9b\\u202e\\u2066\\ufeff"
    )
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\udce9.jpg"
    kept = "ü\u202f写 می\u200cخواهم 👩\u200d🎨 -n.jpg"
    assert printable(kept) == kept and kept.encode()
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"


def test_names_of_files_steer_no_terminal(tmp_path: Path, model: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in NAMES[:2]:
        make_picture().save(tmp_path / "in" / name)
    for name in NAMES[2:]:
        (tmp_path / "in" / name).write_text("no picture")
    (tmp_path / "params\x1b.yaml").write_text("- [\n- a: b: c")

    def run(*words: str) -> str:
        """What a real terminal would be sent, by standard output and errors."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "lessonpipe.app.cli", *words]
        with subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            sent = b""
            while True:
                try:
                    sent += os.read(ours, 1 << 16)
                except OSError:  # its end
                    break
            assert process.wait() in (1, 2)
        os.close(ours)
        return sent.decode()

    restored = run("restore", "in", "-o", "out", "--model", str(model))
    spoilt = run("crappify", "in", "-o", "spoilt", "--recipe", "params\x1b.yaml")
    spoilt += run("restore", f"{ESCAPES}none.png", "-o", "out")
    for sent in (restored, spoilt):
        text = sent.replace("\x1b[A", "")  # of the bar, which is ours
        assert not re.search(
            "[\x00-\x09\x0b-\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text
        )
        assert not re.search(r"(?m)^lessonpipe: all is well", text)
    assert "not restored: in/d\\r\\x9b.png" in restored and "\\u202egnp.c\\u2069.png" in restored
    assert (
        "\\x1b]0;owned\\x07\\x1b[2Jnone.png" in spoilt and "params\\x1b.yaml is not YAML" in spoilt
    )


def test_json_stays_json_whatever_the_names(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / NAMES[1]).write_text("no picture")
    words = ["restore", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(model)]
    assert main([*words, "--json"]) == 2
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["source"] == str(tmp_path / NAMES[1]) and row["status"] == "failed"
