"""Small pictures, and real processes to run the doors in."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadFileScheduling

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.own_steps import in_project
from lessonpipe.crappify.pairs import PhotoPairs, make_pairs
from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.manifest import Manifest
from tests.server import BODY, Serve, Server

ROOT = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = str(ROOT)  # for processes started by tests, Ray's workers too
os.environ.setdefault("OMP_NUM_THREADS", "1")
# processes of tests hear it also when these are started behind a shell's &, which ignores it
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_steps() -> Iterator[None]:
    """Forget after each test which steps a command may call: a process has one command."""
    yield
    in_project(True)


# What one process has for itself, begun first: two clusters would have one address, and two
# trainings of large networks would wait for each other.
TOGETHER = {
    "cluster": (
        "test_cluster.py",
        "test_job.py",
        "test_cpus.py",
        "test_remote.py",
        "test_trust.py",
    ),
    "large": (
        "test_lesson_profile.py",
        "test_pipeline.py",
        "test_tutorial.py",
        "test_compile.py",
        "test_many.py",
        "test_cancel.py",
    ),
}
FIRST = [name for names in TOGETHER.values() for name in names]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first: begun last, one of them would run while a core waits."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(FIRST)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Give each process a file at a time, and those of `TOGETHER` to one."""

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            groups = [group for group, names in TOGETHER.items() if Path(file).name in names]
            return groups[0] if groups else file

    return Scheduling(config, log)


PATIENCE = 300  # seconds that anything may take that takes a few, on the busiest machine


def until(true: Callable[[], Any], seconds: float = PATIENCE, every: float = 0.1) -> Any:
    """Wait for something to become true, and return it. `seconds` are for what must be prompt."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(every)
    return found


def make_picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A smooth, coloured picture with a little grain, so that JPEG and blur have work to do."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8))


def saved_pairs(photo: Path, out: Path, **how: Any) -> PhotoPairs:
    """The pairs of one photo, on the disk."""
    made = make_pairs(photo.read_bytes(), photo.name, **how)
    for name, content in made.files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return made


@pytest.fixture
def picture() -> Image.Image:
    return make_picture()


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of `count` JPEG photos called a0.jpg, b0.jpg, ...: each its own series."""

    def make(count: int, width: int = 64, height: int = 48, folder: str = "photos") -> Path:
        out = tmp_path / folder
        out.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            make_picture(width, height, seed=i).save(out / f"{chr(97 + i)}0.jpg", quality=92)
        return out

    return make


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small untrained generator that changes images a little."""
    import torch

    from lessonpipe.nets.io import save_model
    from tests.small import generator

    net = generator(output="correction")
    torch.nn.init.normal_(net.unet.output[0].weight, std=0.1)
    folder = tmp_path_factory.mktemp("model") / "small"
    save_model(folder, net, {})
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that crappify could have left: 18 pairs to train on and 3 to validate, of 64 px."""
    folder = tmp_path_factory.mktemp("pairs") / "crappify"
    steps: Steps = [{"resize": {"shorter": 32}}, "text", "jpeg"]
    recipe = Recipe(steps)
    found = []
    for name, split, count in (("a.jpg", "train", 18), ("b.jpg", "valid", 3)):
        photo = folder.parent / name
        make_picture(200, 150, seed=count).save(photo)
        options = {"split": split, "count": count, "group_pattern": None, "tile_px": 64}
        found += saved_pairs(photo, folder, recipe=recipe, **options).pairs
    Manifest(steps, recipe.quality, recipe.seed, found).write(folder)
    return folder


@pytest.fixture
def door(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m MODULE WORDS...` in `tmp_path` as a person would."""

    def run(module: str, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers of `body`, or of bodies by name, that behave well, or in some `manner`."""
    servers: list[Server] = []

    def start(manner: str = "well", body: bytes | dict[str, bytes] = BODY) -> Server:
        server = Server(body, manner)
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
