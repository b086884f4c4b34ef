"""What a recipe does to one's photos, as a picture: tiles as training gets them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lessonpipe.app.recipes import PARAMS, read_params
from lessonpipe.crappify.pairs import make_pairs
from lessonpipe.crappify.recipe import Recipe
from lessonpipe.data.folders import list_folder
from lessonpipe.data.pictures import grid
from lessonpipe.errors import UserError
from lessonpipe.inference.output import plan_outputs

TILE_PX = 288


def preview_sheet(
    paths: Sequence[str], recipe: Recipe, *, rows: int = 4, columns: int = 3
) -> tuple[Image.Image, list[str]]:
    """Pairs of a good and a crappy tile: a row a photo, spread over all of them, `columns` pairs.

    Without `paths` the photos are the project's. Also returns why photos were left out. Raises
    `UserError` where there is none, and for a recipe that cannot be applied to any.
    """
    section = read_params().get("crappify", {}) if PARAMS.is_file() else {}
    tile_px = (section.get("tiles") or {}).get("tile_px") or TILE_PX
    root, photos = _photos(paths)
    sheet: list[list[Image.Image]] = []
    reasons: list[str] = []
    for number in range(min(rows, len(photos))):
        photo = photos[number * len(photos) // min(rows, len(photos))]
        name = photo.relative_to(root).as_posix() if root else photo.name
        made = make_pairs(
            photo.read_bytes(),
            name,
            split="train",
            group_pattern=None,
            tile_px=tile_px,
            count=columns,
            recipe=recipe,
        )
        if made.error:
            reasons.append(made.error)
            continue
        row = []
        for pair in made.pairs:
            good, crappy = (_open(made.files[file]) for file in (pair.good, pair.crappy))
            row += [good, crappy.resize(good.size, Image.Resampling.BICUBIC)]
        sheet.append(row)
    if not sheet:
        raise UserError("; ".join(reasons))
    return grid(sheet, ["photo", "crappy"] * columns), reasons


def _photos(paths: Sequence[str]) -> tuple[Path | None, list[Path]]:
    """The photos, and the folder that their names start from."""
    if paths:
        photos = list(plan_outputs(paths, Path("preview")))
        if not photos:
            raise UserError(f"no pictures in {', '.join(paths)}")
        return None, photos
    download: dict[str, Any] = (read_params() if PARAMS.is_file() else {}).get("download") or {}
    from_folder = download.get("source") == "folder"
    folder = Path(str(download["folder"])).expanduser() if from_folder else Path("data/photos")
    photos = list_folder(folder).pictures if folder.is_dir() else []
    if not photos:
        raise UserError(f"no pictures in {folder}; put some there, or name others")
    return folder, photos


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")
