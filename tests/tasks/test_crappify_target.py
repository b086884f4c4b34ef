"""A target is a recipe for the good side: any picture to any picture."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lessonpipe.crappify import Recipe
from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pictures import as_jpeg
from tasks import crappify, recipe
from tests.conftest import make_picture
from tests.tasks.test_crappify import params


@pytest.mark.parametrize("tile_px", [48, None])
def test_a_target_changes_the_good_side_alone_and_no_target_nothing(
    tile_px: int | None, tmp_path: Path
) -> None:
    name, photo = "a.jpg", as_jpeg(make_picture(90, 70))
    tiles = {"tile_px": tile_px, "train": 12, "valid": 1}
    usual = {"undamaged_share": 0.5, "color_jitter": 0.5, "tiles": tiles}

    def made(**changes: Any) -> PhotoPairs:
        return crappify.Job(name, photo, "train", params(**usual, **changes))()

    plain, drawn = made(), made(target="draw", recipes={"draw": ["edges"]})
    assert made(target=None) == plain
    for before, after in zip(plain.pairs, drawn.pairs, strict=True):
        assert (after.name, after.crappy) == (before.name, before.crappy)
        assert drawn.files[after.crappy] == plain.files[before.crappy]
        good = Image.open(io.BytesIO(plain.files[before.good])).convert("RGB")
        drawing = Image.open(io.BytesIO(drawn.files[after.good]))
        assert after.good == f"good/{after.name}.png"
        assert drawing.tobytes() == Recipe(["edges"]).degrade(good, after.name).tobytes()
    manifest = Manifest([], (1, 2), 3, plain.pairs)
    manifest.write(tmp_path)
    assert "target" not in json.loads((tmp_path / "manifest.json").read_text())
    replace(manifest, target=["edges"]).write(tmp_path)
    assert Manifest.read(tmp_path).target == ["edges"]


def test_a_target_that_is_wrong_is_refused_and_the_recipe_stage_writes_it_down(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="egdes"):
        params(target=["egdes"])
    with pytest.raises(ValueError, match="none of them can be unseen"):
        params(target=[{"edges": {"unseen": True}}])
    recipe.run(params(recipe=["grey"], target=["palette"]), tmp_path / "recipe.json")
    steps = {"recipe": ["grey"], "target": ["palette"]}
    assert json.loads((tmp_path / "recipe.json").read_text()) == steps
    recipe.run(params(recipe=["grey"]), tmp_path / "recipe.json")
    assert json.loads((tmp_path / "recipe.json").read_text()) == ["grey"]
