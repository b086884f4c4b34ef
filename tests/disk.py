"""A real disk whose power can be cut, which then loses what was not synced.

It is an ext4 image that writes nothing by itself for minutes; ext4's own shutdown takes away at
once what lies in memory, of files and of names.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forked import Forked

CUTS = 20
SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, struct.pack("I", 2)  # EXT4_IOC_SHUTDOWN
# data may reach the disk after the names of its files, and a replaced file is not synced by itself
OPTIONS = "loop,data=writeback,noauto_da_alloc,commit=300"


class Disk:
    """A small disk at `place` whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "image", folder / "disk"
        self.place.mkdir()
        with self.image.open("wb") as stream:
            stream.truncate(64_000_000)
        made = shutil.which("mkfs.ext4") and subprocess.run(["mkfs.ext4", "-qF", self.image])
        if sys.platform != "linux" or not made or self.mount().returncode:
            pytest.skip("only root on Linux with ext4 and loop devices can make such a disk")

    def mount(self) -> "subprocess.CompletedProcess[bytes]":
        command = ["mount", "-o", OPTIONS, self.image, self.place]
        return subprocess.run(command, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.place], check=True)

    def cut(self) -> None:
        import fcntl

        folder = os.open(self.place, os.O_RDONLY)
        fcntl.ioctl(folder, SHUTDOWN, WITHOUT_FLUSH)
        os.close(folder)

    def run_with_cuts(
        self, folder: Path, call: Callable[..., Any], *args: Any, cuts: int = CUTS
    ) -> Iterator[int]:
        """Run what prints `ready` again and again, cut the power soon after; yields when back."""
        chance = random.Random(0)
        for number in range(cuts):
            process = Forked(folder, f"run{number}", call, *args)
            process.wait_for_line("ready")
            time.sleep(chance.uniform(0, 0.1))
            self.cut()
            if process.process.is_alive():
                process.kill()
            self.unmount()
            assert not self.mount().returncode
            yield number


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.unmount()
