"""Whether a new model is better than the one in production, on validation photos."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.errors import UserError
from lessonpipe.report.bootstrap import Difference, bootstrap_difference
from lessonpipe.report.evaluation import EvaluationParams, Grid, evaluate_folders
from lessonpipe.report.render import jpeg_uri, render
from lessonpipe.report.tables import Table

LESS_IS_BETTER = ("perceptual", "ab_error", "ghost", "ghost_p95", "flat_ghost", "flat_ghost_p95")
NOISE = 1e-4  # what the last bits of the weights and the order of sums may change in a metric


class PromotionParams(StrictModel):
    """Which model is to be promoted, at which size, and what it must be better at.

    The new model must be surely better in `metric`, and no metric of `tolerances` may be worse by
    more than its tolerance.
    """

    model: Path
    image_px: int = Field(ge=32, multiple_of=32)
    metric: str
    tolerances: dict[str, float]


@dataclass(frozen=True)
class Decision:
    """Whether the new model is promoted, why not, and by how much it differs."""

    better: bool
    reasons: list[str]
    differences: dict[str, Difference]


def decide(
    new: Mapping[str, Sequence[float]],
    old: Mapping[str, Sequence[float]],
    *,
    metric: str,
    tolerances: Mapping[str, float],
) -> Decision:
    """Compares two models by values per metric and photo, photos in the same order.

    The new model is better if the 95 % interval of its paired difference in `metric`, by a
    bootstrap over photos, lies above `NOISE`, and the mean of no metric in `tolerances` is worse by
    more than its tolerance there. Differences have the sign in which more is better.
    """
    differences = {
        name: _more_is_better(name, bootstrap_difference([new[name]], [old[name]]))
        for name in {metric: 0, **tolerances}
        if name in new and name in old
    }
    d = differences[metric]
    reasons = []
    if d.low <= NOISE:
        interval = f"{d.mean:+.3f}, 95 % interval {d.low:+.3f}…{d.high:+.3f}"
        reasons.append(f"{metric} is not surely better: {interval}")
    for name, tolerance in tolerances.items():
        if name in differences and differences[name].mean < -tolerance:
            worse = f"{-differences[name].mean:.3f}"
            reasons.append(f"{name} is worse by {worse}; {tolerance:g} is allowed")
    return Decision(not reasons, reasons, differences)


def _more_is_better(name: str, d: Difference) -> Difference:
    return Difference(-d.mean, -d.high, -d.low) if name in LESS_IS_BETTER else d


def differences_table(decision: Decision, allowed: Mapping[str, float]) -> Table:
    """A row per metric: the difference, its interval, and by how much it may be worse."""
    rows = [
        [name, f"{d.mean:+.3f}", f"{d.low:+.3f}…{d.high:+.3f}", str(allowed.get(name, "–"))]
        for name, d in decision.differences.items()
    ]
    return Table(
        ["", "difference", "interval", "may be worse by"],
        rows,
        caption="new minus in service, turned so that more is better; means over photos, 95 % "
        "bootstrap",
    )


def compare_models(
    production: Path, pairs: Path, p: PromotionParams, evaluation: EvaluationParams
) -> tuple[Decision, Grid]:
    """Evaluates the model in production and the new one on the validation pictures in `pairs`.

    Returns the decision and a grid of pictures. Raises `UserError` when the recipe's damage has
    no such metric as `p.metric`.
    """
    folders = {"in service": production, "new": p.model}
    scores, grid = evaluate_folders(folders, pairs, p.image_px, evaluation)
    metrics = {p.metric, *p.tolerances}
    old, new = ({m: scores[name].by_photo(m) for m in metrics} for name in folders)
    if not new[p.metric]:
        raise UserError(f"promote.metric = {p.metric!r}: this recipe has no such metric")
    new = {metric: values for metric, values in new.items() if values}
    return decide(new, old, metric=p.metric, tolerances=p.tolerances), grid


def promotion_page(
    p: PromotionParams,
    decision: Decision,
    grid: Grid | None,
    lineages: Mapping[str, Mapping[str, Any]],
    version: str | None,
) -> str:
    """Returns the page: the decision, its reasons, and figures and pictures if there was a grid.

    `lineages` are of the compared models by name, `version` the new one if it was promoted.
    """
    short = {
        name: {key: known[key] for key in ("model", "weights", "commit", "inputs") if key in known}
        for name, known in lineages.items()
    }
    better = f"{p.metric} is surely better, and nothing is worse than allowed"
    return render(
        "promotion.html",
        outcome=f"{version} went into service" if version else "not promoted",
        reasons=decision.reasons or [better],
        differences=differences_table(decision, p.tolerances),
        grid=jpeg_uri(grid.picture()) if grid else None,
        image_px=p.image_px,
        models=json.dumps(short, indent=2),
        decision=json.dumps(asdict(decision), indent=2),
    )
