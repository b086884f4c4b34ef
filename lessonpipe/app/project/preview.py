"""What a recipe does to one's photos, as a picture: the tiles that training gets."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lessonpipe.app.recipes import PARAMS, named_steps
from lessonpipe.crappify.recipe import Recipe, Steps
from lessonpipe.data.folders import list_folder
from lessonpipe.data.photos import find_pictures
from lessonpipe.data.pictures import grid
from lessonpipe.errors import UserError

if TYPE_CHECKING:
    from tasks.crappify import Params

WHOLE_PX = 288  # of the squares that are shown of photos that are not cut into tiles
MAX_TILE_PX = 1024  # shown so large at most


def preview_sheet(
    paths: Sequence[str],
    recipe: str | None = None,
    steps_file: Path | None = None,
    *,
    rows: int = 4,
    columns: int = 3,
) -> tuple[Image.Image, list[str]]:
    """Pairs as the stage crappify makes them: a row a photo, spread over all, `columns` pairs.

    `recipe` is a name in params.yaml, by default the one chosen there, or a YAML file of steps;
    `steps_file` is Python that defines steps which it names by dotted paths. Without `paths` the
    photos are the project's. Also returns why photos were left out. Raises `UserError` where there
    is none, and for params and recipes that are wrong.
    """
    from tasks.crappify import Job

    root, photos = _photos(paths)
    p = _params(named_steps(recipe, steps_file), columns)
    sheet: list[list[Image.Image]] = []
    reasons: list[str] = []
    for number in range(min(rows, len(photos))):
        photo = photos[number * len(photos) // min(rows, len(photos))]
        name = photo.relative_to(root).as_posix() if root else photo.name
        made = Job(name, photo.read_bytes(), "train", p)()
        if made.error:
            reasons.append(made.error)
            continue
        row = []
        for pair in made.pairs:
            good, crappy = (_open(made.files[file]) for file in (pair.good, pair.crappy))
            side = min(good.width, MAX_TILE_PX)
            row += [each.resize((side, side), Image.Resampling.BICUBIC) for each in (good, crappy)]
        sheet.append(row)
    if not sheet:
        raise UserError("; ".join(reasons))
    return grid(sheet, ["photo", "degraded"] * columns), reasons


def _params(steps: Steps, columns: int) -> "Params":
    """The stage's params, or where there are none its defaults, with so many tiles a photo."""
    from tasks.crappify import Params, Tiles
    from tasks.pipeline.params import load

    Recipe(steps)  # raises for a wrong one
    if PARAMS.is_file():
        p = load(Params, "crappify").model_copy(update={"recipe": steps})
    else:
        tiles = Tiles(tile_px=WHOLE_PX, train=1, valid=1)
        p = Params(seed=42, recipe=steps, group_pattern=None, valid_share=0.2, tiles=tiles)
    tiles = p.tiles.model_copy(update={"tile_px": p.tiles.tile_px or WHOLE_PX, "train": columns})
    return p.model_copy(update={"tiles": tiles})


def _photos(paths: Sequence[str]) -> tuple[Path | None, list[Path]]:
    """The photos, and the folder that their names start from."""
    if paths:
        photos = find_pictures(paths)
        if not photos:
            raise UserError(f"no pictures in {', '.join(paths)}")
        return None, photos
    folder = Path("data/photos")
    if PARAMS.is_file():
        from tasks.download import Params, from_folder
        from tasks.pipeline.params import load

        p = load(Params, "download")
        if p.source == "folder":
            found = list(from_folder(p).photos.values())[: p.limit]
            return Path(p.folder).expanduser(), found
    photos = list_folder(folder).pictures if folder.is_dir() else []
    if not photos:
        raise UserError(f"no pictures in {folder}; run `dvc repro download`, or name some")
    return folder, photos


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")
