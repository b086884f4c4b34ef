"""Measure every model on the validation photos: -> reports/metrics.json, reports/index.html.

    python -m tasks evaluate

Each model is measured only at the size that it was trained for.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.crappify import Recipe
from lessonpipe.data.manifest import Manifest, Pair
from lessonpipe.data.pairs import center_square
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import as_jpeg, stacked, to_picture, to_tensor
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.io.progress import progress_bar
from lessonpipe.metrics import PerceptualDistance
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator
from lessonpipe.report.high_resolution import restore_high_resolution
from lessonpipe.report.page import Grid, page
from lessonpipe.report.reference import ReferenceFigure, compare_to_reference
from lessonpipe.report.scores import Scores, bootstrap_ratio, headline

MODELS = {
    "generator": Path("models/pretrain_generator"),
    "gan": Path("models/fit_gan"),
    "control": Path("models/fit_control"),
    "feature": Path("models/fit_feature"),
}
AGAINST = [("gan", "generator"), ("feature", "control")]


class At(StrictModel):
    """A size, and the models that were trained for it."""

    image_px: int = Field(ge=32, multiple_of=32)
    models: list[Literal["generator", "gan", "control", "feature"]]


class Params(StrictModel):
    """Which models at which size, by whose eyes the perceptual distance is taken, and beside what.

    `beside` are figures of another run, such as the lesson's own.
    """

    seed: int
    precision: Precision
    at: list[At]
    batch: int = Field(ge=1)
    encoder: str
    pretrained: bool
    grid_rows: int = Field(ge=1, le=24)
    beside: list[ReferenceFigure]


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    photos: Path = Path("data/photos"),
    critic: Path = Path("models/pretrain_critic"),
    out: Path = Path("reports"),
) -> None:
    """Measure, and write the figures and the page."""
    worker = Worker.current(p.precision)
    eyes = worker.to_device(PerceptualDistance(p.encoder, pretrained=p.pretrained))
    manifest = Manifest.read(pairs)
    metrics: dict[str, Any] = {}
    grids = []
    for at in p.at:
        nets: dict[str, nn.Module] = {
            name: worker.to_device(fold_weight_norm(load_generator(MODELS[name])))
            for name in at.models
        }
        scores, grid = measure(nets, manifest, pairs, at.image_px, p, worker, eyes)
        grids.append(grid)
        metrics[str(at.image_px)] = {name: s.summary(p.seed) for name, s in scores.items()} | {
            f"{new}_against_{old}": bootstrap_ratio(scores[new], scores[old], p.seed)
            for new, old in AGAINST
            if new in scores and old in scores
        }
    metrics["critic"] = read_json(critic / "metrics.json")
    histories = {folder.name: folder / "history.csv" for folder in [*MODELS.values(), critic]}
    if p.beside:
        metrics["beside"] = compare_to_reference(p.beside, histories)
    big = restore_high_resolution(_largest(photos, manifest), MODELS["feature"])
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["crappify"] |= {"recipe": manifest.recipe, "quality": list(manifest.quality)}
    html = page(metrics, grids, big, histories, params)
    write_json(out / "metrics.json", metrics)
    atomic_write(out / "grid.jpg", as_jpeg(stacked([grid.picture() for grid in grids])))
    atomic_write(out / "medium.jpg", as_jpeg(big.picture))
    atomic_write(out / "index.html", html)
    print(headline(metrics))
    print(f"look at {out / 'index.html'}")


def _largest(photos: Path, manifest: Manifest) -> Path:
    """The validation photo with the most pixels; the first by name of several."""
    names = sorted({pair.photo for pair in manifest.split("valid")})

    def pixels(path: Path) -> int:
        with Image.open(path) as photo:  # its header alone
            return photo.width * photo.height

    return max((photos / name for name in names), key=pixels)


@torch.no_grad()
def measure(
    nets: dict[str, nn.Module],
    manifest: Manifest,
    folder: Path,
    image_px: int,
    p: Params,
    worker: Worker,
    eyes: PerceptualDistance,
) -> tuple[dict[str, Scores], Grid]:
    """Scores of the crappy pictures and of every net, and pictures of some of them."""
    scores = {name: Scores() for name in ["crappy", *nets]}
    pairs = manifest.split("valid")
    every = max(1, len(pairs) // p.grid_rows)
    grid = Grid(image_px, ["crappy", *nets, "photo"])
    shown = set(range(every // 2, len(pairs), every)[: p.grid_rows])
    done = 0
    steps = -(-len(pairs) // p.batch)
    title = f"evaluate at {image_px}"
    recipe = Recipe(manifest.recipe, quality=manifest.quality, seed=manifest.seed)
    kinds = damage(recipe)
    batches = _batches(pairs, recipe, kinds, folder, image_px, p.batch)
    for part, x, y, *plain in progress_bar(batches, title, total=steps):
        x, y = worker.batch_to_device(x), worker.batch_to_device(y)
        made = {"crappy": x}
        for name, net in nets.items():
            made[name] = _run(net, x, worker)
        for name, m in made.items():
            scores[name].add(part, m, x, y, eyes(m, y))
        for kind, without in zip(kinds, map(worker.batch_to_device, plain), strict=True):
            touched = (x - without).abs().amax(1, keepdim=True) > 16 / 255
            for name, m in made.items():
                scores[name].add_removed(f"{kind}_removed", part, m, x, y, touched)
            for name, net in nets.items():
                best = _run(net, without, worker)
                scores[name].add_removed(f"{kind}_ceiling", part, best, x, y, touched)
        for i in range(len(part)):
            if done + i in shown:
                grid.rows.append([to_picture(m[i]) for m in [*made.values(), y]])
        done += len(part)
    return scores, grid


def damage(recipe: Recipe) -> dict[str, list[str]]:
    """The steps whose damage has its place in the picture: text, and all others that spot."""
    text = [step for step in recipe.local_steps if step == "text"]
    others = [step for step in recipe.local_steps if step != "text"]
    return {kind: steps for kind, steps in (("text", text), ("damage", others)) if steps}


def _run(net: nn.Module, x: Tensor, worker: Worker) -> Tensor:
    with worker.autocast():
        made: Tensor = net(x)
    return made.float().clamp(0, 1)


def _batches(
    pairs: list[Pair],
    recipe: Recipe,
    kinds: dict[str, list[str]],
    folder: Path,
    image_px: int,
    batch: int,
) -> Iterator[tuple[Any, ...]]:
    """Pairs with crappy, good, and crappy without each kind of damage: `B 3 H W` in 0...1."""

    def load(pair: Pair) -> list[Tensor]:
        good = open_photo(folder / pair.good)
        plain = [recipe.degrade(good, pair.name, without=steps) for steps in kinds.values()]
        pictures = [open_photo(folder / pair.crappy), good, *plain]
        return [to_tensor(center_square(picture, image_px)) for picture in pictures]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(pairs), batch):
            part = pairs[first : first + batch]
            columns = zip(*pool.map(load, part), strict=True)
            yield part, *(torch.stack(column).float() / 255 for column in columns)
