"""Spoil every photo by a recipe, in parallel on Ray: data/photos -> data/crappify.

    python -m tasks crappify

Leaves `good/`, `crappy/` (the same names), `manifest.json` (what is what, and on which side) and
`failed.json` (photos that could not be read, with reasons).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from lessonpipe import cluster
from lessonpipe.crappify import Recipe
from lessonpipe.crappify.pairs import Made, make_pairs
from lessonpipe.crappify.recipe import Steps, steps_of
from lessonpipe.crappify.step import Quality
from lessonpipe.data.manifest import Manifest, Side
from lessonpipe.data.photos import find, split
from lessonpipe.errors import UserError
from lessonpipe.files import whole_folder, write_json
from lessonpipe.progress import bar
from lessonpipe.settings import Strict


class Tiles(Strict):
    """Square crops of photos that are larger than needed; `tile_px: null` keeps photos whole."""

    tile_px: int | None = Field(ge=32, le=4096)
    train: int = Field(ge=1, description="tiles from a training photo")
    valid: int = Field(ge=1, description="tiles from a validation photo")


class Params(Strict):
    """What becomes of a photo. A recipe given by its name is replaced by its steps."""

    seed: int
    recipes: dict[str, Steps] = Field({})
    recipe: Steps
    quality: Quality = (10, 70)
    series: str | None
    valid_share: float = Field(gt=0, lt=1)
    tiles: Tiles

    @field_validator("recipe", mode="before")
    @classmethod
    def _named(cls, recipe: str | Steps, others: ValidationInfo) -> Steps:
        return steps_of(recipe, others.data.get("recipes", {}))

    @field_validator("recipe")
    @classmethod
    def _known(cls, steps: Steps) -> Steps:
        Recipe(steps)
        return steps

    @field_validator("series")
    @classmethod
    def _compiles(cls, series: str | None) -> str | None:
        try:
            re.compile(series or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return series


@dataclass(frozen=True)
class Job:
    """One photo's turn; carries all that a worker needs."""

    photos: Path
    name: str
    side: Side
    params: Params
    out: Path

    def __call__(self) -> Made:
        """Make its pairs."""
        p = self.params
        return make_pairs(
            self.photos / self.name,
            self.name,
            side=self.side,
            series=p.series,
            tile_px=p.tiles.tile_px,
            count=p.tiles.train if self.side == "train" else p.tiles.valid,
            recipe=Recipe(p.recipe, quality=p.quality, seed=p.seed),
            out=self.out,
        )


def _do(job: Job) -> Made:
    return job()


def run(p: Params, photos: Path = Path("data/photos"), out: Path = Path("data/crappify")) -> None:
    """Make all pairs. Raises `UserError` when there is no photo that can be read."""
    found = find([photos]) if photos.is_dir() else []
    names = [path.relative_to(photos).as_posix() for path in found]
    if not names:
        raise UserError(f"{photos} holds no pictures; run `dvc repro download` first")
    sides = split(names, series=p.series, valid_share=p.valid_share, seed=p.seed)
    workers = cluster.worker_count(os.cpu_count() or 1)
    with whole_folder(out) as draft, cluster.running(workers):
        jobs = [Job(photos.resolve(), n, sides[n], p, draft.resolve()) for n in names]
        chunk = max(1, min(32, len(jobs) // (workers * 8)))
        made: list[Made] = []
        seconds = 0.0  # of the last one done
        done = cluster.spread(_do, jobs, chunk=chunk)
        for result, seconds in bar(done, "crappify", total=len(jobs), unit="photo"):  # noqa: B007
            made.append(result)
        pairs = sorted((pair for m in made for pair in m.pairs), key=lambda pair: pair.name)
        failed = {m.photo: m.error for m in sorted(made, key=lambda m: m.photo) if m.error}
        if not pairs:
            raise UserError(f"none of the {len(names)} photos can be read: {failed}")
        write_json(draft / "failed.json", failed)
        Manifest(p.recipe, p.quality, p.seed, pairs).write(draft)
    for name, reason in failed.items():
        print(f"set aside {name}: {reason}")
    print(
        f"{len(pairs)} pairs from {len(names) - len(failed)} photos, "
        f"{len(pairs) / seconds:.0f} a second on {workers} workers"
    )
