"""Crappify on Ray against a plain pool, and against fastai's `parallel` with the lesson's function.

Start and imports of the workers are not counted for Ray and the pool, which keep theirs; fastai's
are forked anew for each call, as it does. The lesson's function writes the crappy picture alone;
ours also copies the good one and hashes both.
"""

import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lessonpipe import cluster
from lessonpipe.crappify.pairs import PhotoPairs
from tasks.crappify import Job, Params, chunks
from tests.bench.rounds import OURS, Row

WORKERS = 2
PARAMS = Params(
    seed=1,
    recipe=[{"resize": {"shorter": 96}}, "text", "jpeg"],
    group_pattern=None,
    valid_share=0.2,
    tiles={"tile_px": None, "train": 1, "valid": 1},
)


def do(job: Job) -> PhotoPairs:
    """Our work on one photo: bytes in, bytes out."""
    return job()


def do_here(names: tuple[Path, Path]) -> int:
    """The same work, from the disk to the disk, as a plain pool would do it."""
    photo, out = names
    return len(save(do(Job(photo.name, photo.read_bytes(), "train", PARAMS)), out).pairs)


def save(made: PhotoPairs, out: Path) -> PhotoPairs:
    """Write what was made."""
    for name, content in made.files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return made


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


def make_photos(folder: Path, count: int) -> list[str]:
    """JPEG photos of 480x320, with detail."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    names = []
    for i in range(count):
        small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
        names.append(f"{i:04d}.jpg")
        small.resize((480, 320), Image.Resampling.BICUBIC).save(folder / names[-1], quality=90)
    return names


def crappify(rounds: int, count: int = 600) -> Iterator[Row]:
    """Milliseconds a picture of the three, taking turns."""
    from fastcore.parallel import parallel  # what fastai calls `parallel`

    row = Row("crappify", f"{count} photos of 480x320", "ms", {})
    with tempfile.TemporaryDirectory() as here, cluster.ray_session(WORKERS):
        place = Path(here)
        names = make_photos(place / "photos", count)
        (place / "lessons").mkdir()
        chunk = max(1, min(32, count // (WORKERS * 8)))  # the stage's own

        def by_ray(out: str) -> float:
            photos = place / "photos"
            jobs = (Job(name, (photos / name).read_bytes(), "train", PARAMS) for name in names)
            count_made, seconds = 0, 0.0
            for made, seconds in cluster.map_unordered(do, chunks(jobs, chunk)):  # noqa: B007
                count_made += len(save(made, place / out).pairs)
            assert count_made == count
            return seconds

        with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:

            def by_pool(out: str) -> float:
                start = time.perf_counter()
                work = [(place / "photos" / name, place / out) for name in names]
                assert sum(pool.imap_unordered(do_here, work, chunksize=chunk)) == count
                return time.perf_counter() - start

            def by_fastai(out: str) -> float:
                start = time.perf_counter()
                photos = [place / "photos" / name for name in names]
                parallel(lessons, photos, n_workers=WORKERS, progress=False)
                return time.perf_counter() - start

            works = {OURS: by_ray, "plain pool": by_pool, "fastai parallel": by_fastai}
            row.values = {who: [] for who in works}
            for number in range(-1, rounds):
                order = list(works.items())
                for who, work in reversed(order) if number % 2 else order:
                    seconds = work(f"{who}{number}")
                    if number >= 0:  # the one before does not count
                        row.values[who].append(seconds / count * 1000)
    yield row
