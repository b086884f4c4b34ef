"""The report: one self-contained HTML page of pictures, metrics, curves and parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lessonpipe.io.git import commit
from lessonpipe.io.places import without_places
from lessonpipe.report.curves import curves
from lessonpipe.report.evaluation import Grid
from lessonpipe.report.high_resolution import HighResolution
from lessonpipe.report.reference import reference_table
from lessonpipe.report.render import jpeg_uri, render
from lessonpipe.report.summary import metrics_table, ratio_lines


def report_page(
    metrics: Mapping[str, Any],
    grids: Sequence[Grid],
    high_resolution: HighResolution,
    histories: dict[str, Path],
    params: Mapping[str, Any],
) -> str:
    """Returns the page; `histories` are the stages' `history.csv`, `params` the whole params."""
    return render(
        "report.html",
        commit=commit(),
        sizes=[_size(grid, metrics[str(grid.image_px)]) for grid in grids],
        high_resolution={
            "size": "×".join(map(str, high_resolution.size)),
            "picture": jpeg_uri(high_resolution.picture),
        },
        training_curves=curves(histories),
        critic_accuracy=metrics["critic"]["accuracy"] if "critic" in metrics else None,
        reference=reference_table(metrics["reference"]) if "reference" in metrics else None,
        crappify=yaml.safe_dump(params["crappify"], sort_keys=False),
        params=yaml.safe_dump(without_places(dict(params)), sort_keys=False, allow_unicode=True),
    )


def _size(grid: Grid, models: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image_px": grid.image_px,
        "tiles": [list(zip(grid.titles, map(jpeg_uri, row), strict=True)) for row in grid.rows],
        "order": f"from the worst to the best tile by {_order(models)} of {grid.titles[-2]}",
        "table": metrics_table(models),
        "ratios": ratio_lines(models),
    }


def _order(models: Mapping[str, Any]) -> str:
    local = any("ghost" in model for model in models.values())
    return "the ghost of local damage" if local else "the PSNR gain"
