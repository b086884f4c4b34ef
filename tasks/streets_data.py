"""Street photos with a class a pixel, generated or CamVid's: -> data/streets.

python -m tasks streets_data
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import Field

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.io.atomic import atomic_folder, write_json
from lessonpipe.io.progress import progress_bar
from lessons.streets import camvid
from lessons.streets.data import save_labels
from lessons.streets.scenes import scene
from tasks.pipeline.lock import STATE_DIR

CHUNK = 8  # scenes at a time


class Params(StrictModel):
    """Where street photos come from; how many scenes are made, when they are."""

    seed: int = Field(ge=0)
    source: Literal["scenes", "camvid"]
    train: int = Field(ge=1)
    valid: int = Field(ge=1)


@dataclass(frozen=True)
class Job:
    """One scene to make."""

    side: str
    seed: int
    number: int

    @property
    def name(self) -> str:
        """Its files' name."""
        return f"{self.number:05d}"


def run(p: Params, out: Path = Path("data/streets")) -> None:
    """Download CamVid, or draw generated scenes: both splits, checked."""
    with atomic_folder(out, fsync=True) as draft:
        if p.source == "camvid":
            found = camvid.collect(STATE_DIR / "downloads", draft)
        else:
            found = make(p, draft)
        write_json(draft / "streets.json", {"source": p.source, "photos": found})
    counts = ", ".join(f"{count} {side}" for side, count in found.items())
    print(f"photos of streets from {p.source}: {counts}")


def make(p: Params, draft: Path) -> dict[str, int]:
    """Draw all scenes, on all workers; the sides' seeds are never those of any other run's."""
    sides = {"train": (2 * p.seed, p.train), "valid": (2 * p.seed + 1, p.valid)}
    jobs = [Job(side, seed, i) for side, (seed, count) in sides.items() for i in range(count)]
    for side in sides:
        (draft / side).mkdir()
        (draft / f"{side}_labels").mkdir()
    chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
    with cluster.ray_session(cluster.worker_count(os.cpu_count() or 1)):
        results = cluster.map_unordered(_drawn, chunks)
        for (job, photo, labels), _ in progress_bar(
            results, "scenes", total=len(jobs), unit="scene"
        ):
            (draft / job.side / f"{job.name}.jpg").write_bytes(photo)
            (draft / f"{job.side}_labels" / f"{job.name}.png").write_bytes(labels)
    return {side: count for side, (_, count) in sides.items()}


def _drawn(job: Job) -> tuple[Job, bytes, bytes]:
    picture, labels = scene(job.seed, job.number)
    return job, as_jpeg(Image.fromarray(picture)), save_labels(labels)
