"""Rooms at 64x64, cut from the sample photos, or LSUN's bedrooms: -> data/bedrooms.

python -m tasks bedrooms_data
"""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.fetch import fetch
from lessonpipe.data.manifest import Split
from lessonpipe.data.photos import group_split
from lessonpipe.environment import environment
from lessonpipe.io.atomic import atomic_folder
from lessonpipe.io.printable import printable
from lessons.bedrooms import data
from tasks.download import sample_photos
from tasks.pipeline.lock import STATE_DIR


class Params(StrictModel):
    """Where rooms come from, how many crops of a photo, and which photos are not learnt from."""

    seed: int
    source: Literal["rooms", "lsun"]
    photos: int | None = Field(ge=1)
    group_pattern: str | None
    valid_share: float = Field(gt=0, lt=1)
    px: Literal[32, 64, 128]
    zoom: float = Field(ge=1, le=8)
    train: int = Field(ge=1)
    valid: int = Field(ge=1)


def run(p: Params, out: Path = Path("data/bedrooms")) -> None:
    """Collect, cut, write one file."""
    if p.source == "lsun":
        url = environment().bedrooms_url or data.LSUN.url
        files = data.pictures_in(fetch(replace(data.LSUN, url=url), STATE_DIR / "downloads"))
        side = data.by_name(p.seed, p.valid_share)
    else:
        photos = sample_photos()
        files = ((path.name, path.read_bytes()) for path in photos)
        names = [path.name for path in photos]
        side = group_split(
            names, group_pattern=p.group_pattern, valid_share=p.valid_share, seed=p.seed
        ).__getitem__
    counts: dict[Split, int] = {"train": p.train, "valid": p.valid}
    with atomic_folder(out, fsync=True) as draft:
        rooms, failed = data.crops(
            islice(files, p.photos), side, counts, px=p.px, zoom=p.zoom, seed=p.seed
        )
        data.save(rooms, draft)
    for name, reason in failed.items():
        print(f"set aside {printable(name)}: {printable(reason)}")
    print(
        f"{len(rooms['train'])} pictures to learn from, {len(rooms['valid'])} to measure, in {out}"
    )
