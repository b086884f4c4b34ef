"""Validation pairs of small photos, for what evaluates models."""

from pathlib import Path

import yaml

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.recipe import Steps
from lessonpipe.data.manifest import Manifest
from tests.conftest import ROOT, make_picture, saved_pairs

RECIPES = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]


def validation_pairs(steps: Steps, photos: Path, out: Path, target: Steps | None = None) -> Path:
    """Makes three photos, and the folder `out` with six tiles of them; returns `out`."""
    photos.mkdir(parents=True, exist_ok=True)
    recipe, pairs = Recipe(steps, target=target), []
    for i in range(3):
        make_picture(90, 70, seed=i).save(photos / f"{i}.jpg")
        pairs += saved_pairs(
            photos / f"{i}.jpg",
            split="valid",
            group_pattern=None,
            tile_px=64,
            count=2,
            recipe=recipe,
            out=out,
        ).pairs
    Manifest(steps, recipe.quality, recipe.seed, pairs, target=target).write(out)
    return out
