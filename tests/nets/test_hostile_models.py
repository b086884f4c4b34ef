"""Model folders that somebody made to do harm are told in a sentence, at once and in no memory."""

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import ROOT, make_picture

CONFIG = UnetConfig(
    encoder="tf_efficientnet_lite0", encoder_depth=4, widths=[4, 4, 4], head=2, norm="none"
)
MODEL, WEIGHTS = "model.json", "model.safetensors"

# what each of these paths in model.json is set to
JSON: list[tuple[str, Any]] = [
    ("kind", 5),
    ("kind", "generator\x1b]0;owned\x07"),
    ("kind", "critic"),
    ("lessonpipe", {"version": "0.2"}),
    ("build", []),
    ("build", None),
    ("build.encoder", "hf-hub:somebody/evil"),
    ("build.encoder", "local-dir:/etc"),
    ("build.encoder", "../../etc/passwd"),
    ("build.encoder", "no_such_network"),
    ("build.encoder", "x" * 1_000_000),
    ("build.encoder", "vit_giant_patch14_224"),
    ("build.encoder", "regnety_2560"),
    ("build.encoder", ["resnet34"]),
    ("build.encoder_depth", 10**9),
    ("build.encoder_depth", -1),
    ("build.widths", [10**9] * 3),
    ("build.widths", [8192] * 3),
    ("build.widths", [4] * 100_000),
    ("build.widths", [4, 4, -4]),
    ("build.widths", [4, 4, 1e308]),
    ("build.widths", [4, 4]),
    ("build.widths", None),
    ("build.head", 8192),
    ("build.head", 10**30),
    ("build.y_range", [float("nan"), float("inf")]),
    ("build.norm", "__import__('os').system('touch ran')"),
    ("build.evil", "touch ran"),
    ("about", "a string"),
    ("about.stage", ["a"]),
    ("about.stage", "a\x1b[2J"),
    ("recipe", {"resize": 5}),
    ("recipe", [5]),
    ("recipe", ["jpeg"] * 1_000_000),
    ("undoes", "everything"),
    ("undoes", [5]),
    ("undoes", ["text\x1b[31m"]),
    ("undoes", ["x" * 100_000]),
    ("lineage", [1]),
    ("lineage.inputs", {"pairs": {"deep": 1}}),
    ("card", {"summary": 5}),
    ("card", {"measures": {"psnr_gain": {}}}),
]
TEXTS = {
    "empty": b"",
    "no JSON": b"{",
    "no object": b"[1]",
    "no UTF-8": b'{"kind": "\xff\xfe"}',
    "very deep": b"[" * 1_000_000,
    "deep": b'{"kind": "generator", "build": ' + b'{"a": ' * 300 + b"1" + b"}" * 301,
    "long number": b'{"kind": "generator", "build": {"head": ' + b"9" * 1_000_000 + b"}}",
    "zeros": bytes(5_000),
}


class Evil:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def header(tensors: Any, data: bytes = b"") -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: list[Any], end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


FILES: dict[str, bytes | Callable[[Path], Any]] = {
    "empty": b"",
    "short": b"12",
    "pickle": pickle.dumps(Evil()),
    "endless header": struct.pack("<Q", 2**64 - 1) + b"{}",
    "long header": struct.pack("<Q", 10**9) + b"{}",
    "deep header": struct.pack("<Q", 10**6) + b"[" * 10**6,
    "list": header([]),
    "no tensors": header({}),
    "overflow": header(tensor([2**32, 2**32, 2**32], 4), bytes(4)),
    "overflow to nothing": header(tensor([2**62, 4], 0)),
    "negative": header(tensor([-2, -2], 16), bytes(16)),
    "fraction": header(tensor([1.5], 4), bytes(4)),
    "beyond the end": header(tensor([10**8], 4 * 10**8)),
    "unknown type": header(tensor([1], 4, "F31"), bytes(4)),
    "another network's": header(tensor([1], 4), bytes(4)),
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "link to itself": lambda path: path.symlink_to(path.name),
    "huge": lambda path: (path.touch(), os.truncate(path, 10**12)),
    "half": lambda path: path.write_bytes(
        (path.parent.parent / "whole" / WEIGHTS).read_bytes()[:-9]
    ),
}

TRY_ALL = """
import io, json, os, resource, sys, time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from lessonpipe.app.cli import main
from lessonpipe.errors import UserError
from lessonpipe.nets.io import load_critic, load_generator

load_generator(Path("whole"))
Path("models").mkdir()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folder in sorted(Path().glob("hostile-*")):
    start, error = time.process_time(), None
    try:
        load_generator(folder)
    except UserError as wrong:
        error = str(wrong)
    seconds = time.process_time() - start
    Path("models/fit_pixel").unlink(missing_ok=True)
    Path("models/fit_pixel").symlink_to(folder.absolute())
    said = {}
    for command in (
        ["restore", "picture.png", "-o", "out", "--model", str(folder)], ["lineage", str(folder)],
        ["models"],
    ):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(command)
        said[command[0]] = (code, err.getvalue())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([folder.name, error, seconds, grown, said]))
"""


def hostile_folders(place: Path) -> Iterator[Path]:
    """Folders that differ from the good one in `place/whole` in one thing each."""
    good = json.loads((place / "whole" / MODEL).read_text())
    for number, (path, value) in enumerate(JSON):
        changed = json.loads(json.dumps(good))
        *parents, last = path.split(".")
        inner = changed
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = value
        folder = place / f"hostile-json-{number:02d}-{path}"
        folder.mkdir()
        (folder / MODEL).write_text(json.dumps(changed))
        (folder / WEIGHTS).hardlink_to(place / "whole" / WEIGHTS)
        yield folder
    for name, text in TEXTS.items():
        folder = place / f"hostile-text-{name}"
        folder.mkdir()
        (folder / MODEL).write_bytes(text)
        (folder / WEIGHTS).hardlink_to(place / "whole" / WEIGHTS)
        yield folder
    for name, make in FILES.items():
        folder = place / f"hostile-weights-{name}"
        folder.mkdir()
        (folder / MODEL).hardlink_to(place / "whole" / MODEL)
        if isinstance(make, bytes):
            (folder / WEIGHTS).write_bytes(make)
        else:
            make(folder / WEIGHTS)
        yield folder
    folder = place / "hostile-json-pipe"
    folder.mkdir()
    os.mkfifo(folder / MODEL)
    yield folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices in folders are POSIX's")
def test_hostile_model_folders_are_told_in_a_sentence_soon_and_in_little_memory(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "whole", Generator(CONFIG, pretrained=False), {"stage": "fit_pixel"})
    assert load_generator(tmp_path / "whole").config == CONFIG
    folders = list(hostile_folders(tmp_path))
    assert len(folders) >= 50
    make_picture(64, 48).save(tmp_path / "picture.png")
    done = subprocess.run(
        [sys.executable, "-c", TRY_ALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(folders)
    for name, error, seconds, grown_kb, said in rows:
        assert error and len(error) < 1_500 and "\n" not in error and error.isprintable(), name
        assert name in error or "no encoder is called" in error, (name, error)
        assert seconds < 1, (name, seconds)  # of the processor's; 0.4 at most
        assert grown_kb < 500_000, (name, grown_kb)
        assert said["restore"][0] == 2, (name, said)
        for command, (code, text) in said.items():
            assert code == 0 or (code == 2 and len(text.splitlines()) == 1), (name, command, text)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_recipes_own_steps_are_not_run_by_the_model_that_learnt_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lessonpipe.inference.restorer import Restorer

    save_model(tmp_path / "whole", Generator(CONFIG, pretrained=False), {})
    about = json.loads((tmp_path / "whole" / MODEL).read_text())
    about |= {"recipe": [{"evil_steps.scratch": {}}], "undoes": ["scratches"]}
    (tmp_path / "whole" / MODEL).write_text(json.dumps(about))
    (tmp_path / "evil_steps.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Restorer(tmp_path / "whole", precision="fp32")(make_picture(64, 64))
    assert "evil_steps" not in sys.modules and not Path("ran").exists()
