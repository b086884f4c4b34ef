"""Degrade every photo by a recipe, in parallel on Ray: data/photos -> data/crappify.

    python -m tasks crappify

Writes `good/`, `crappy/` (the same names), `manifest.json` (the pairs and their split) and
`failed.json` (photos that could not be used, with reasons). Workers of this machine read and write
the files themselves; to and from a cluster's nodes they travel as bytes, a few at a time. A run
after a kill does the missing photos alone.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationInfo, field_validator

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.crappify import Recipe
from lessonpipe.crappify.pairs import PhotoPairs, make_pairs
from lessonpipe.crappify.recipe import Steps, damage_of, steps_of
from lessonpipe.crappify.step import Quality
from lessonpipe.data.folders import (
    NOT_UTF8,
    Found,
    find_copies,
    format_left_aside,
    is_utf8,
    list_folder,
)
from lessonpipe.data.manifest import Manifest, Split
from lessonpipe.data.photos import group_split
from lessonpipe.errors import UserError
from lessonpipe.io.atomic import write_json
from lessonpipe.io.printable import printable
from lessonpipe.io.progress import progress_bar
from tasks.pipeline import launch
from tasks.pipeline.journal import PairsDraft, write_files

T = TypeVar("T")

CHUNK_BYTES = 4_000_000  # of photos in a worker's task, which costs the driver a millisecond
CHUNK_PHOTOS = 256  # in it at most, where workers read the files
SENT_PHOTOS = 32  # in it at most, where their bytes travel


class Tiles(StrictModel):
    """Square crops of photos that are larger than needed; `tile_px: null` keeps photos whole."""

    tile_px: int | None = Field(ge=32, le=4096)
    train: int = Field(ge=1, description="tiles from a training photo")
    valid: int = Field(ge=1, description="tiles from a validation photo")


class Params(StrictModel):
    """How pairs are made of photos. A recipe's name is replaced by its steps.

    `target` is a recipe for the good side: what a network is to make of the photos.
    """

    seed: int
    recipes: dict[str, Steps] = Field({})
    recipe: Steps
    target: Steps | None = None
    quality: Quality = (10, 70)
    undamaged_share: float = Field(0.0, ge=0, lt=1)
    color_jitter: float = Field(0.0, ge=0, le=1, description="share of the training tiles")
    group_pattern: str | None
    train_only: str | None = None
    valid_share: float = Field(gt=0, lt=1)
    tiles: Tiles

    @field_validator("recipe", "target", mode="before")
    @classmethod
    def _steps_of_name(cls, recipe: str | Steps | None, others: ValidationInfo) -> Steps | None:
        if recipe is None:  # which is what a recipe may not be, as its type says
            return None
        return steps_of(recipe, others.data.get("recipes", {}))

    @field_validator("recipe", "target")
    @classmethod
    def _check_steps(cls, steps: Steps | None, others: ValidationInfo) -> Steps | None:
        if others.field_name == "target":
            Recipe(["grey"], target=steps)  # any recipe: it is the target's rules that are checked
        elif steps is not None:
            Recipe(steps)
        return steps

    @field_validator("group_pattern", "train_only")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return pattern


@dataclass(frozen=True)
class Job:
    """One photo, with all that a worker needs."""

    name: str
    content: bytes
    split: Split
    params: Params

    def __call__(self) -> PhotoPairs:
        """Make its pairs."""
        p = self.params
        return make_pairs(
            self.content,
            self.name,
            split=self.split,
            group_pattern=p.group_pattern,
            tile_px=p.tiles.tile_px,
            count=p.tiles.train if self.split == "train" else p.tiles.valid,
            recipe=Recipe(
                p.recipe,
                quality=p.quality,
                seed=p.seed,
                undamaged_share=p.undamaged_share,
                jitter_share=p.color_jitter,
                target=p.target,
            ),
        )


def run_job(job: Job) -> PhotoPairs:
    """The work of a node that does not see the driver's disk: from bytes to bytes."""
    return job()


@dataclass(frozen=True)
class RunHere:
    """The work of a process that sees the folders: it reads a photo and writes its files."""

    photos: Path
    draft: Path
    params: Params

    def __call__(self, photo: tuple[str, Split]) -> PhotoPairs:
        """Make its pairs; raises `OSError` when files cannot be read or written."""
        name, split = photo
        made = Job(name, (self.photos / name).read_bytes(), split, self.params)()
        write_files(self.draft, made.files)
        return replace(made, files={})


def chunks(items: Iterable[tuple[T, int]], max_items: int) -> Iterator[list[T]]:
    """Yield items, given with their bytes, in lists of at most `max_items` and `CHUNK_BYTES`."""
    chunk: list[T] = []
    total = 0
    for item, size in items:
        chunk.append(item)
        total += size
        if len(chunk) >= max_items or total >= CHUNK_BYTES:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def make_all(
    names: Sequence[str],
    splits: Mapping[str, Split],
    p: Params,
    photos: Path,
    draft: PairsDraft,
    workers: int,
) -> Iterator[tuple[PhotoPairs, float]]:
    """Make the pairs of these photos; yields each result and the seconds since workers were ready.

    On this machine their files are in the draft then; from a cluster they are in the result.
    """
    most = len(names) // (workers * 8)  # so that all end at about the same time
    if cluster.address() is None:
        work = RunHere(photos.resolve(), draft.folder.resolve(), p)
        here = (((name, splits[name]), (photos / name).stat().st_size) for name in names)
        yield from cluster.map_unordered(work, chunks(here, max(1, min(CHUNK_PHOTOS, most))))
    else:
        jobs = (Job(name, (photos / name).read_bytes(), splits[name], p) for name in names)
        sent = ((job, len(job.content)) for job in jobs)
        yield from cluster.map_unordered(run_job, chunks(sent, max(1, min(SENT_PHOTOS, most))))


def run(p: Params, photos: Path = Path("data/photos"), out: Path = Path("data/crappify")) -> None:
    """Make all pairs. Raises `UserError` when there is no readable photo."""
    found = list_folder(photos) if photos.is_dir() else Found([], [])
    if not found.pictures:
        raise UserError(f"{photos} holds no pictures; run `dvc repro download` first")
    names, unused = _usable(found.pictures, photos)
    splits = group_split(
        names,
        group_pattern=p.group_pattern,
        valid_share=p.valid_share,
        seed=p.seed,
        train_only=p.train_only,
    )
    draft = PairsDraft.find(out, launch.run_key("crappify", p, []))
    done = draft.done(photos, splits)
    if done:
        print(f"resuming after {len(done)} photos", flush=True)
    missing = [name for name in names if name not in done]
    seconds, new_pairs = 0.0, 0
    with cluster.ray_session(cluster.worker_count(os.cpu_count() or 1)) as workers:
        results = make_all(missing, splits, p, photos, draft, workers) if missing else iter(())
        bar = progress_bar(results, "crappify", total=len(missing), unit="photo")
        try:
            for result, seconds in bar:  # noqa: B007
                done[result.photo] = draft.add(result)
                new_pairs += len(result.pairs)
        finally:
            draft.commit()
    pairs = sorted((pair for row in done.values() for pair in row.pairs), key=lambda x: x.name)
    unread = {name: row.error for name, row in done.items() if row.error}
    failed = dict(sorted((unused | unread).items()))
    if not pairs:
        draft.discard()
        raise UserError(f"none of the {len(found.pictures)} photos can be read: {failed}")
    write_json(draft.folder / "failed.json", failed)
    damage = damage_of(p.recipe)
    Manifest(p.recipe, p.quality, p.seed, pairs, damage, p.target).write(draft.folder)
    draft.publish(out)
    for name, reason in failed.items():
        print(f"set aside {printable(name)}: {printable(reason)}")
    if found.others:
        print(f"{len(found.others)} left aside: {format_left_aside(found.left_aside)}")
    if enlarged := sorted(name for name, row in done.items() if row.enlarged):
        print(
            f"{len(enlarged)} of {len(names)} photos are smaller than a tile of {p.tiles.tile_px} "
            "px and were enlarged, which blurs what the network learns from: "
            f"{', '.join(map(printable, enlarged[:5]))}{', ...' if len(enlarged) > 5 else ''}"
        )
    rate = f", {new_pairs / seconds:.0f} a second on {workers} workers" if seconds else ""
    print(f"{len(pairs)} pairs from {len(names) - len(unread)} photos{rate}")


def _usable(found: Iterable[Path], photos: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the photos that take part in the split, and the reasons against the others."""
    names: list[str] = []
    unused: dict[str, str] = {}
    copies = find_copies(found)
    for path in found:
        name = path.relative_to(photos).as_posix()
        if not is_utf8(name):
            unused[printable(name)] = NOT_UTF8
        elif path in copies:  # might be in the other split
            first = copies[path].relative_to(photos).as_posix()
            unused[name] = f"the same bytes as {printable(first)}"
        else:
            names.append(name)
    return names, unused
