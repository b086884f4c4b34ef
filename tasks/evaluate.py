"""Evaluates what is trained by pixels on the validation photos: -> reports/index.html and metrics.

    python -m tasks evaluate

Each model is evaluated only at the size that it was trained for. What GAN and feature loss add is
tasks/compare.py.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pictures import as_jpeg, stacked
from lessonpipe.device import Worker
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.metrics import PerceptualDistance
from lessonpipe.report.evaluation import EvaluationParams, evaluate_models, load_generators
from lessonpipe.report.high_resolution import describe, restore_high_resolution
from lessonpipe.report.measured import LIVE, keep_measured
from lessonpipe.report.page import report_page
from lessonpipe.report.reference import ReferenceFigure, compare_to_reference
from lessonpipe.report.scores import compare_scores
from lessonpipe.report.summary import headline

MODELS = {
    "generator": Path("models/pretrain_generator"),
    "gan": Path("models/fit_gan"),
    "pixel": Path("models/fit_pixel"),
    "feature": Path("models/fit_feature"),
}
COMPARED = [("gan", "generator"), ("feature", "pixel")]


Side = Annotated[int, Field(ge=512, le=8192)]  # a smaller picture has no place for the detail


class Evaluation(StrictModel):
    """A size, and the models that were trained for it."""

    image_px: int = Field(ge=32, multiple_of=32)
    models: list[Literal["generator", "gan", "pixel", "feature"]] = Field(min_length=1)


class Params(EvaluationParams):
    """Which models at which size, and how they are evaluated.

    The last model of the last size restores the photo that the report shows at `high_resolution`
    (width, height in pixels).
    `reference` are figures of another run, such as the lesson's own. `all_params` is the whole
    params file, which the report prints.
    """

    seed: int
    evaluations: list[Evaluation] = Field(min_length=1)
    high_resolution: tuple[Side, Side] = (1280, 1600)
    reference: list[ReferenceFigure] = Field(default_factory=list)
    all_params: dict[str, Any] = Field(default_factory=dict)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    photos: Path = Path("data/photos"),
    critic: Path | None = None,
    out: Path = Path("reports"),
    live: Path = LIVE / "evaluate",
) -> None:
    """Evaluate, and write metrics (those of a GAN's `critic`, too), pictures and the page.

    What restoring took is told and kept in `live`: an output would change with it.
    """
    worker = Worker.current(p.precision)
    perceptual = worker.to_device(PerceptualDistance(p.encoder, pretrained=p.pretrained))
    manifest = Manifest.read(pairs)
    metrics: dict[str, Any] = {}
    grids = []
    for at in p.evaluations:
        scores, grid = evaluate_models(
            load_generators({name: MODELS[name] for name in at.models}, worker),
            pairs,
            at.image_px,
            batch=p.batch,
            grid_rows=p.grid_rows,
            perceptual=perceptual,
            worker=worker,
        )
        grids.append(grid)
        metrics[str(at.image_px)] = {name: s.summary(p.seed) for name, s in scores.items()} | {
            f"{new}_against_{old}": compare_scores(scores[new], scores[old], p.seed)
            for new, old in COMPARED
            if new in scores and old in scores
        }
    folders = [MODELS[name] for at in p.evaluations for name in at.models]
    if critic and MODELS["gan"] in folders:
        metrics["critic"] = read_json(critic / "metrics.json")
        folders.append(critic)
    histories = {folder.name: folder / "history.csv" for folder in folders}
    if p.reference:
        metrics["reference"] = compare_to_reference(p.reference, histories)
    shown = MODELS[p.evaluations[-1].models[-1]]
    restored = restore_high_resolution(_largest(photos, manifest), shown, p.high_resolution)
    used = {"recipe": manifest.recipe, "quality": list(manifest.quality)}
    params = {**p.all_params, "crappify": {**p.all_params.get("crappify", {}), **used}}
    page = report_page(metrics, grids, restored, histories, params)
    write_json(out / "metrics.json", metrics, fsync=True)
    all_grids = as_jpeg(stacked([grid.picture() for grid in grids]))
    atomic_write(out / "grid.jpg", all_grids, fsync=True)
    atomic_write(out / "medium.jpg", as_jpeg(restored.picture), fsync=True)
    atomic_write(out / "index.html", page, fsync=True)
    keep_measured(live, restored.measured())
    print(headline(metrics))
    print(describe(restored.measured()))
    print(f"look at {out / 'index.html'}")


def _largest(photos: Path, manifest: Manifest) -> Path:
    """Returns the validation photo with the most pixels, the first by name of equal ones."""
    names = sorted({pair.photo for pair in manifest.split("valid")})

    def pixels(path: Path) -> int:
        with Image.open(path) as photo:  # reads its header only
            return photo.width * photo.height

    return max((photos / name for name in names), key=pixels)
