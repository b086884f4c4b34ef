"""The page of a small model, and a browser without a window."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT


@dataclass
class Started:
    """A page that runs, and the project's folder that it was started in."""

    url: str
    folder: Path
    process: "subprocess.Popen[str]"


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Started]:
    """`lessonpipe page` in a folder as a person would start it, once it says where it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lessonpipe.app.cli", "page", "--no-browser", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        match = next((m for line in process.stdout if (m := re.search(r"http://\S+", line))), None)
        assert match, f"the page ended with {process.wait()}"
        yield Started(match[0].rstrip("/"), folder, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def page(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A page that restores with a small untrained model; one for all tests of a file."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(model, folder / "models/fit_pixel")
    with running(folder) as started:
        yield started
