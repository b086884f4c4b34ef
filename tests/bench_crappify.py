"""Pictures a second of crappify's Ray against a plain pool of as many processes, same work.

    python -m tests.bench_crappify [PHOTOS] [ROUNDS]

Start and imports of the workers are counted on neither side. Rounds alternate which goes first;
the last line is the median of the rounds' ratios. Run it where nothing else runs: under load the
system shares the cores by session, which favours Ray's many.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from lessonpipe import cluster
from lessonpipe.crappify.pairs import Made
from tasks.crappify import Job, Params

WORKERS = 2
PARAMS = Params(
    seed=1,
    recipe=[{"resize": {"shorter": 96}}, "text", "jpeg"],
    series=None,
    valid_share=0.2,
    tiles={"tile_px": None, "train": 1, "valid": 1},
)


def do(job: Job) -> Made:
    return job()


def make_photos(folder: Path, count: int) -> list[str]:
    """JPEG photos of 480x320, with detail."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = []
    for i in range(count):
        small = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
        names.append(f"{i:04d}.jpg")
        small.resize((480, 320), Image.Resampling.BICUBIC).save(folder / names[-1], quality=90)
    return names


def main(count: int = 600, rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as place, cluster.running(WORKERS):
        names = make_photos(Path(place) / "photos", count)
        chunk = max(1, min(32, count // (WORKERS * 8)))  # the stage's own

        def jobs(out: str) -> list[Job]:
            return [
                Job(Path(place) / "photos", name, "train", PARAMS, Path(place) / out)
                for name in names
            ]

        def by_ray(out: str) -> float:
            work = cluster.spread(do, jobs(out), chunk=chunk)
            made = list(work)
            assert all(result.pairs for result, _ in made) and len(made) == count
            return count / max(seconds for _, seconds in made)

        with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:

            def by_pool(out: str) -> float:
                start = time.perf_counter()
                made = list(pool.imap_unordered(do, jobs(out), chunksize=chunk))
                assert all(result.pairs for result in made) and len(made) == count
                return count / (time.perf_counter() - start)

            by_ray("warm_ray"), by_pool("warm_pool")
            ratios = []
            for i in range(rounds):
                if i % 2:
                    plain, ray = by_pool(f"pool{i}"), by_ray(f"ray{i}")
                else:
                    ray, plain = by_ray(f"ray{i}"), by_pool(f"pool{i}")
                ratios.append(ray / plain)
                print(f"round {i}: Ray {ray:.0f}, pool {plain:.0f} pictures/s, {ratios[-1]:.2f}")
            print(f"median ratio Ray / pool: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
