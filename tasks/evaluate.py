"""Evaluates every model on the validation photos: -> reports/metrics.json, reports/index.html.

    python -m tasks evaluate

Each model is evaluated only at the size that it was trained for.
"""

from pathlib import Path
from typing import Any, Literal

from PIL import Image
from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pictures import as_jpeg, stacked
from lessonpipe.device import Worker
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.metrics import PerceptualDistance
from lessonpipe.report.evaluation import EvaluationParams, evaluate_models, load_generators
from lessonpipe.report.high_resolution import restore_high_resolution
from lessonpipe.report.page import report_page
from lessonpipe.report.reference import ReferenceFigure, compare_to_reference
from lessonpipe.report.scores import compare_scores
from lessonpipe.report.summary import headline

MODELS = {
    "generator": Path("models/pretrain_generator"),
    "gan": Path("models/fit_gan"),
    "control": Path("models/fit_control"),
    "feature": Path("models/fit_feature"),
}
COMPARED = [("gan", "generator"), ("feature", "control")]


class Evaluation(StrictModel):
    """A size, and the models that were trained for it."""

    image_px: int = Field(ge=32, multiple_of=32)
    models: list[Literal["generator", "gan", "control", "feature"]]


class Params(EvaluationParams):
    """Which models at which size, and how they are evaluated.

    `reference` are figures of another run, such as the lesson's own. `all_params` is the whole
    params file, which the report prints.
    """

    seed: int
    evaluations: list[Evaluation]
    reference: list[ReferenceFigure]
    all_params: dict[str, Any] = Field(default_factory=dict)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    photos: Path = Path("data/photos"),
    critic: Path = Path("models/pretrain_critic"),
    out: Path = Path("reports"),
) -> None:
    """Evaluate, and write metrics, pictures and the page."""
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
    metrics["critic"] = read_json(critic / "metrics.json")
    histories = {folder.name: folder / "history.csv" for folder in [*MODELS.values(), critic]}
    if p.reference:
        metrics["reference"] = compare_to_reference(p.reference, histories)
    restored = restore_high_resolution(_largest(photos, manifest), MODELS["feature"])
    used = {"recipe": manifest.recipe, "quality": list(manifest.quality)}
    params = {**p.all_params, "crappify": {**p.all_params.get("crappify", {}), **used}}
    page = report_page(metrics, grids, restored, histories, params)
    write_json(out / "metrics.json", metrics)
    atomic_write(out / "grid.jpg", as_jpeg(stacked([grid.picture() for grid in grids])))
    atomic_write(out / "medium.jpg", as_jpeg(restored.picture))
    atomic_write(out / "index.html", page)
    print(headline(metrics))
    print(f"look at {out / 'index.html'}")


def _largest(photos: Path, manifest: Manifest) -> Path:
    """Returns the validation photo with the most pixels, the first by name of equal ones."""
    names = sorted({pair.photo for pair in manifest.split("valid")})

    def pixels(path: Path) -> int:
        with Image.open(path) as photo:  # reads its header only
            return photo.width * photo.height

    return max((photos / name for name in names), key=pixels)
