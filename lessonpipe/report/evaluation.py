"""Restores the validation pictures with several models, and scores what comes out."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.crappify import Recipe
from lessonpipe.data.manifest import Manifest, Pair
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid, to_picture, to_tensor
from lessonpipe.device import Precision, Worker
from lessonpipe.io.progress import progress_bar
from lessonpipe.metrics import PerceptualDistance, flat_ground, ghost, psnr
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator
from lessonpipe.report.scores import Scores

DAMAGE_THRESHOLD = 16.5 / 255  # a pixel that damage changes by at most 16 counts as undamaged


class EvaluationParams(StrictModel):
    """How models are evaluated.

    `encoder` is that of the perceptual distance: take one that no loss was made of. `grid_rows`
    is how many tiles the grid shows.
    """

    precision: Precision
    batch: int = Field(ge=1)
    encoder: str
    pretrained: bool
    grid_rows: int = Field(ge=1, le=24)


@dataclass
class Grid:
    """Pictures of a few validation tiles: a row per tile, a column per title."""

    image_px: int
    titles: list[str]
    rows: list[list[Image.Image]] = field(default_factory=list)

    def picture(self) -> Image.Image:
        """Returns all rows as one picture."""
        return grid(self.rows, self.titles)


def evaluate_folders(
    folders: Mapping[str, Path], pairs: Path, image_px: int, p: EvaluationParams
) -> tuple[dict[str, Scores], Grid]:
    """Evaluates the generators of model folders, by name, as `evaluate_models` does."""
    worker = Worker.current(p.precision)
    return evaluate_models(
        load_generators(folders, worker),
        pairs,
        image_px,
        batch=p.batch,
        grid_rows=p.grid_rows,
        perceptual=worker.to_device(PerceptualDistance(p.encoder, pretrained=p.pretrained)),
        worker=worker,
    )


def load_generators(folders: Mapping[str, Path], worker: Worker) -> dict[str, nn.Module]:
    """Loads the generators of model folders, by name, onto the worker's device."""
    return {
        name: worker.to_device(fold_weight_norm(load_generator(folder)))
        for name, folder in folders.items()
    }


@torch.no_grad()
def evaluate_models(
    nets: Mapping[str, nn.Module],
    pairs: Path,
    image_px: int,
    *,
    batch: int,
    grid_rows: int,
    perceptual: nn.Module,
    worker: Worker,
) -> tuple[dict[str, Scores], Grid]:
    """Restores the validation tiles in the folder `pairs`, cut to `image_px`, with every net.

    Returns scores by name, those of the crappy pictures too, and a grid of `grid_rows` tiles from
    the worst to the best: by what the last net left of local damage, of the kind of which it left
    most, or by its PSNR gain where a recipe has none. Removed local damage is scored twice: as
    `KIND_removed`, and as `KIND_ceiling`, which is what the net makes of the same picture without
    that damage. What is left of it is `ghost`. Pairs whose good pictures are not the photos have
    none of these, nor what becomes of undamaged photos. Raises `MissingError` without pairs.
    """
    manifest = Manifest.read(pairs)
    tiles = manifest.split("valid")
    recipe = Recipe(manifest.recipe, quality=manifest.quality, seed=manifest.seed)
    damage = {} if manifest.target else local_damage(recipe)  # it would need the photos
    scores = {name: Scores() for name in ["crappy", *nets]}
    badness: dict[str, float] = {}  # by tile, of the last net
    last = list(scores)[-1]
    batches = _batches(tiles, recipe, damage, pairs, image_px, batch)
    steps = -(-len(tiles) // batch)
    for part, *tensors in progress_bar(batches, f"evaluate at {image_px}", total=steps):
        x, y, *undamaged = map(worker.batch_to_device, tensors)
        outputs = {"crappy": x, **{name: _restore(net, x, worker) for name, net in nets.items()}}
        for name, output in outputs.items():
            scores[name].add(part, output, x, y, perceptual(output, y))
        for name, net in nets.items():
            if not manifest.target:
                scores[name].add_clean(part, _restore(net, y, worker), y)
        flat = flat_ground(y)
        worst = torch.zeros(len(part)) if damage else psnr(x, y) - psnr(outputs[last], y)
        for kind, without in zip(damage, undamaged, strict=True):
            damaged = (x - without).abs().amax(1, keepdim=True) > DAMAGE_THRESHOLD
            best = {name: _restore(net, without, worker) for name, net in nets.items()}
            for name, output in outputs.items():
                left = ghost(output, best.get(name, without))
                scores[name].add_removed(f"{kind}_removed", part, output, x, y, damaged)
                scores[name].add_ghost(part, left, damaged, flat)
                means = (left * damaged).flatten(1).sum(1) / damaged.flatten(1).sum(1).clamp(min=1)
                if name == last:
                    worst = torch.maximum(worst, means.cpu())
            for name, output in best.items():
                scores[name].add_removed(f"{kind}_ceiling", part, output, x, y, damaged)
        badness |= {tile.name: v for tile, v in zip(part, worst.tolist(), strict=True)}
    ranked = sorted(tiles, key=lambda tile: -badness[tile.name])
    count = min(grid_rows, len(ranked))
    shown = [ranked[i * (len(ranked) - 1) // max(1, count - 1)] for i in range(count)]
    grid = Grid(image_px, ["crappy", *nets, "target" if manifest.target else "photo"])
    for part, *tensors in _batches(shown, recipe, {}, pairs, image_px, batch):
        x, y = map(worker.batch_to_device, tensors)
        columns = [x, *(_restore(net, x, worker) for net in nets.values()), y]
        grid.rows += [[to_picture(column[i]) for column in columns] for i in range(len(part))]
    return scores, grid


def local_damage(recipe: Recipe) -> dict[str, list[str]]:
    """Returns the recipe's steps that damage some places only, by kind.

    `text` is writing, `unseen` what no training picture has, `damage` all other.
    """
    kinds: dict[str, list[str]] = {"text": [], "damage": [], "unseen": []}
    for step in recipe.local_steps:
        kind = "unseen" if step in recipe.unseen_steps else "text" if step == "text" else "damage"
        kinds[kind].append(step)
    return {kind: steps for kind, steps in kinds.items() if steps}


def _restore(net: nn.Module, x: Tensor, worker: Worker) -> Tensor:
    with worker.autocast():
        output: Tensor = net(x)
    return output.float().clamp(0, 1)


def _batches(
    tiles: Sequence[Pair],
    recipe: Recipe,
    damage: Mapping[str, list[str]],
    folder: Path,
    image_px: int,
    batch: int,
) -> Iterator[tuple[Sequence[Pair], *tuple[Tensor, ...]]]:
    """Yields (pairs, crappy, photo, crappy without each kind of damage): `B 3 H W` in 0...1."""

    def load(tile: Pair) -> list[Tensor]:
        photo = open_photo(folder / tile.good)
        undamaged = [recipe.degrade(photo, tile.name, without=steps) for steps in damage.values()]
        pictures = [open_photo(folder / tile.crappy), photo, *undamaged]
        return [to_tensor(center_square(picture, image_px)) for picture in pictures]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(tiles), batch):
            part = tiles[first : first + batch]
            columns = zip(*pool.map(load, part), strict=True)
            yield part, *(torch.stack(column).float() / 255 for column in columns)
