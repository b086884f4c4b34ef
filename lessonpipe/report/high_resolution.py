"""The lesson's last figure: a picture of 256 pixels restored at a large size, and a detail of it.

No training picture has that size; the network is fully convolutional. It is restored by the
command that a person would type, so that seconds and memory are those that a person meets.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image

from lessonpipe.crappify import Recipe
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid, stacked, to_tensor
from lessonpipe.errors import LessonpipeError
from lessonpipe.metrics import laplacian_energy

STEPS = [{"resize": {"shorter": 256}}, {"jpeg": {"quality": 60}}]  # the lesson's older variant
DETAIL_PX = 160
THUMBNAIL_PX = 400  # the longer side


@dataclass(frozen=True)
class HighResolution:
    """The figure, its `size` (width, height), the command's seconds and peak memory.

    The last two are no two runs' alike, and so they are in no output of a stage.
    """

    size: tuple[int, int]
    picture: Image.Image
    seconds: float
    memory_gb: float

    def measured(self) -> dict[str, Any]:
        """What restoring took, for `keep_measured` and `describe`."""
        size = "×".join(map(str, self.size))
        return {"restored": size, "seconds": self.seconds, "memory_gb": self.memory_gb}


def describe(measured: Mapping[str, Any]) -> str:
    """What restoring took in words; "" where nothing was measured."""
    if not measured.keys() >= {"restored", "seconds", "memory_gb"}:
        return ""
    seconds, memory = measured["seconds"], measured["memory_gb"]
    return f"restored {measured['restored']} in {seconds:.1f} s from start to end, {memory:.1f} GB"


def restore_high_resolution(photo: Path, model: Path, size: tuple[int, int]) -> HighResolution:
    """Degrades `photo`, cropped to `size` (width, height), as the lesson did, and restores it.

    Raises `LessonpipeError` when the command fails.
    """
    good = _crop(open_photo(photo), size)
    small = Recipe(STEPS).degrade(good, photo.name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small.save(folder / "small.png")
        seconds, memory_gb = _run_command(folder, model, size)
        restored = open_photo(folder / "out" / "small.png")
    columns = [small.resize(size, Image.Resampling.BICUBIC), restored, good]
    left, top = most_detailed(good, DETAIL_PX)
    box = (left, top, left + DETAIL_PX, top + DETAIL_PX)
    width, height = size
    shown = round(width * THUMBNAIL_PX / max(size)), round(height * THUMBNAIL_PX / max(size))
    thumbnails = [p.resize(shown, Image.Resampling.LANCZOS) for p in columns]
    details = [
        p.crop(box).resize((2 * DETAIL_PX, 2 * DETAIL_PX), Image.Resampling.NEAREST)
        for p in columns
    ]
    picture = stacked(
        [
            grid([thumbnails], ["256 pixels, enlarged", "restored", "photo"]),
            grid([details], ["a detail, twice its size", "", ""]),
        ]
    )
    return HighResolution(size, picture, seconds, memory_gb)


def most_detailed(picture: Image.Image, side: int) -> tuple[int, int]:
    """Returns left and top of the square with the most fine detail, away from the borders."""
    width, height = picture.size
    corners = [
        (x, y)
        for y in range(side, height - 2 * side, side // 2)
        for x in range(side, width - 2 * side, side // 2)
    ]
    pixels = to_tensor(picture).float() / 255
    squares = torch.stack([pixels[:, y : y + side, x : x + side] for x, y in corners])
    return corners[int(laplacian_energy(squares).argmax())]


def _crop(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Returns the middle of a photo, of the shape of `size` and so large; a smaller is enlarged."""
    width, height = size
    scale = min(photo.width / width, photo.height / height)
    w, h = width * scale, height * scale
    left, top = (photo.width - w) / 2, (photo.height - h) / 2
    return photo.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + w, top + h))


def _run_command(folder: Path, model: Path, size: tuple[int, int]) -> tuple[float, float]:
    """Restores `small.png` into `out`; returns seconds and gigabytes."""
    args = ["restore", str(folder / "small.png"), "-o", str(folder / "out")]
    args += ["--model", str(model), "--size", f"{size[0]}x{size[1]}"]
    start = time.perf_counter()
    with (folder / "log").open("w+") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "lessonpipe.app.cli", *args], stdout=log, stderr=log
        )
        peak = 0
        while child.poll() is None:
            peak = max(peak, peak_bytes(child.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        if child.returncode:
            log.seek(0)
            raise LessonpipeError(f"restoring at {size} failed: {log.read().strip()}")
    return seconds, peak / 1e9


def peak_bytes(pid: int) -> int:
    """Returns the most memory that a process has held so far; 0 when it is gone.

    Where there is no /proc, it is what the process holds now. `ru_maxrss` would not do: on Linux
    it starts with that of the parent.
    """
    try:
        if Path("/proc/self").exists():
            status = Path(f"/proc/{pid}/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) * 1024
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, IndexError, psutil.Error):
        return 0
