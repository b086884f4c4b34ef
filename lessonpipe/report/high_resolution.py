"""The lesson's last figure: a picture of 256 pixels restored at 1280x1600, and a detail of it.

The size was never seen in training; the network is convolutional throughout. Restored by the
very command that a person would type, so that its seconds and memory are those a person meets.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from PIL import Image

from lessonpipe.crappify import Recipe
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid, stacked, to_tensor
from lessonpipe.errors import LessonpipeError
from lessonpipe.metrics import laplacian_energy

SIZE = (1280, 1600)
STEPS = [{"resize": {"shorter": 256}}, {"jpeg": {"quality": 60}}]  # the lesson's older variant
ZOOM_PX = 160


@dataclass(frozen=True)
class HighResolution:
    """The figure, and what the command took: its seconds, start to end, and its memory."""

    picture: Image.Image
    seconds: float
    memory_gb: float


def restore_high_resolution(photo: Path, model: Path) -> HighResolution:
    """Spoil `photo`, cut to 4:5, as the lesson did, restore it with `model`, show both.

    Raises `LessonpipeError` when the command fails.
    """
    good = _cut(open_photo(photo))
    small = Recipe(STEPS).degrade(good, photo.name)
    with tempfile.TemporaryDirectory() as folder:
        small.save(Path(folder) / "small.png")
        seconds, memory_gb = _command(Path(folder), model)
        made = open_photo(Path(folder) / "out" / "small.png")
    columns = [small.resize(SIZE, Image.Resampling.BICUBIC), made, good]
    titles = ["256 pixels, enlarged", "restored", "photo"]
    left, top = busiest(good, ZOOM_PX)
    box = (left, top, left + ZOOM_PX, top + ZOOM_PX)
    whole = grid([[p.resize((320, 400), Image.Resampling.LANCZOS) for p in columns]], titles)
    near = [p.crop(box).resize((320, 320), Image.Resampling.NEAREST) for p in columns]
    return HighResolution(
        stacked([whole, grid([near], ["a detail, twice its size", "", ""])]), seconds, memory_gb
    )


def busiest(picture: Image.Image, side: int) -> tuple[int, int]:
    """Left and top of the square with the most fine detail, away from the borders."""
    width, height = picture.size
    places = [
        (x, y)
        for y in range(side, height - 2 * side, side // 2)
        for x in range(side, width - 2 * side, side // 2)
    ]
    pixels = to_tensor(picture).float() / 255
    squares = torch.stack([pixels[:, y : y + side, x : x + side] for x, y in places])
    return places[int(laplacian_energy(squares).argmax())]


def _cut(photo: Image.Image) -> Image.Image:
    """The middle 4:5 of a photo, at 1280x1600; a smaller photo is enlarged."""
    width, height = SIZE
    scale = min(photo.width / width, photo.height / height)
    w, h = width * scale, height * scale
    left, top = (photo.width - w) / 2, (photo.height - h) / 2
    return photo.resize(SIZE, Image.Resampling.LANCZOS, box=(left, top, left + w, top + h))


def _command(folder: Path, model: Path) -> tuple[float, float]:
    words = ["restore", str(folder / "small.png"), "-o", str(folder / "out")]
    words += ["--model", str(model), "--size", f"{SIZE[0]}x{SIZE[1]}"]
    start = time.perf_counter()
    with (folder / "told").open("w+") as told:
        child = subprocess.Popen(
            [sys.executable, "-m", "lessonpipe.app.cli", *words], stdout=told, stderr=told
        )
        peak = 0
        while child.poll() is None:
            peak = max(peak, peak_bytes(child.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        if child.returncode:
            told.seek(0)
            raise LessonpipeError(f"restoring at {SIZE} failed: {told.read().strip()}")
    return seconds, peak / 1e9


def peak_bytes(process: int) -> int:
    """The most memory that a process has held so far; 0 when it is gone.

    Not `ru_maxrss`, which on Linux starts with that of whoever started the process.
    """
    status = Path(f"/proc/{process}/status")
    try:
        if Path("/proc/self").exists():
            return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
        return int(psutil.Process(process).memory_info().rss)
    except (OSError, IndexError, psutil.Error):
        return 0
