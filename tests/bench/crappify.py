"""Crappify on Ray against a plain pool, and against fastai's `parallel` with the lesson's function.

Start and imports of the workers are not counted for Ray and the pool, which keep theirs; fastai's
are forked anew for each call, as it does. Ours and the pool's work are the same function, which
reads a photo and writes its pair; ours keeps a journal besides, and what it calls done is on the
disk. The lesson's function writes the crappy picture alone; ours copies the good one, too, and
hashes both.
"""

import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw

from lessonpipe import cluster
from tasks.crappify import Params, RunHere, make_all
from tasks.pipeline.journal import PairsDraft
from tests.bench.rounds import OURS, Row

WORKERS = 2
KINDS = {(128, 128): 3000, (500, 375): 600, (4000, 3000): 24}  # width, height: how many
PARAMS = Params(
    seed=1,
    recipe=[{"resize": {"shorter": 96}}, "text", "jpeg"],
    group_pattern=None,
    valid_share=0.2,
    tiles={"tile_px": None, "train": 1, "valid": 1},
)


def lessons(photo: Path) -> None:
    """The lesson's work on one photo: shrink, write the quality over it, compress."""
    picture = Image.open(photo)
    scale = 96 / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    picture = picture.resize(size, Image.Resampling.BILINEAR).convert("RGB")
    width, height = picture.size
    quality = random.randint(10, 70)
    place = random.randint(0, width // 2), random.randint(0, height // 2)
    ImageDraw.Draw(picture).text(place, str(quality), fill=(255, 255, 255))
    picture.save(photo.parent.parent / "lessons" / photo.name, quality=quality)


def make_photos(folder: Path, count: int, size: tuple[int, int] = (480, 320)) -> list[str]:
    """JPEG photos with detail; returns their names."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    names = []
    for i in range(count):
        small = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        names.append(f"{i:04d}.jpg")
        large = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
        large.save(folder / names[-1], quality=90)
    return names


def crappify(rounds: int) -> Iterator[Row]:
    """Milliseconds a picture of the three, taking turns; and the driver's and the workers' time."""
    with cluster.ray_session(WORKERS):
        for size, count in KINDS.items():
            with tempfile.TemporaryDirectory() as here:
                yield from _crappify(rounds, Path(here), size, count)


def _crappify(rounds: int, place: Path, size: tuple[int, int], count: int) -> Iterator[Row]:
    from fastcore.parallel import parallel  # what fastai calls `parallel`

    photos = place / "photos"
    names = make_photos(photos, count, size)
    splits = dict.fromkeys(names, "train")
    (place / "lessons").mkdir()
    title = f"{count} photos of {size[0]}x{size[1]}"
    used: dict[str, list[float]] = {OURS: [], "the workers": []}

    def by_ray(out: str) -> float:
        draft = PairsDraft.find(place / out, "bench")
        own, theirs = _own_cpu(), _workers_cpu()
        seconds = 0.0
        for made, seconds in make_all(names, splits, PARAMS, photos, draft, WORKERS):  # type: ignore[arg-type]  # noqa: B007
            draft.add(made)
        start = time.perf_counter()
        draft.commit()
        used[OURS].append((_own_cpu() - own) / count * 1000)
        used["the workers"].append((_workers_cpu() - theirs) / count * 1000)
        return seconds + time.perf_counter() - start

    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:

        def by_pool(out: str) -> float:
            (place / out).mkdir()
            work = RunHere(photos, place / out, PARAMS)
            start = time.perf_counter()
            jobs = ((name, "train") for name in names)
            chunk = max(1, min(32, count // (WORKERS * 8)))
            assert sum(1 for _ in pool.imap_unordered(work, jobs, chunksize=chunk)) == count  # type: ignore[arg-type]
            return time.perf_counter() - start

        def by_fastai(out: str) -> float:
            start = time.perf_counter()
            parallel(lessons, [photos / n for n in names], n_workers=WORKERS, progress=False)
            return time.perf_counter() - start

        works = {OURS: by_ray, "plain pool": by_pool, "fastai parallel": by_fastai}
        row = Row("crappify", title, "ms", {who: [] for who in works})
        for number in range(-1, rounds):
            order = list(works.items())
            for who, work in reversed(order) if number % 2 else order:
                seconds = work(f"{who}{number}")
                if number >= 0:  # the one before does not count
                    row.values[who].append(seconds / count * 1000)
    yield row
    driver = {who: values[1:] for who, values in used.items()}
    yield Row("crappify", f"{title}: the driver's processor", "ms", driver)


def _own_cpu() -> float:
    """Processor seconds of this process so far, by the system's count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _workers_cpu() -> float:
    """Processor seconds of Ray's workers so far, by the system's count."""
    below = psutil.Process().children(recursive=True)
    times = [each.cpu_times() for each in below if each.name().startswith("ray::")]
    return sum(each.user + each.system for each in times)
