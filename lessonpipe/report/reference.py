"""Figures that another training run is known to have reached, beside this run's."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.errors import one_of
from lessonpipe.report.tables import Table


class ReferenceFigure(StrictModel):
    """A figure of another run: of which stage, column of `history.csv` and size."""

    stage: str
    column: str
    image_px: int = Field(ge=1)
    value: float


def compare_to_reference(
    figures: Sequence[ReferenceFigure], histories: Mapping[str, Path]
) -> dict[str, dict[str, float]]:
    """Returns each figure beside the best epoch of this run's stage at that size.

    The best is the lowest of a loss and the highest of any other column. Raises `UserError`,
    listing the known names, for a stage, a column or a size that the histories lack.
    """
    compared = {}
    for figure in figures:
        if figure.stage not in histories:
            raise one_of("stage with a history", figure.stage, histories)
        rows = list(csv.DictReader(io.StringIO(histories[figure.stage].read_text("utf-8"))))
        if figure.column not in rows[0]:
            raise one_of(f"column of {figure.stage}", figure.column, rows[0])
        sizes = {row["px"] for row in rows}
        if str(figure.image_px) not in sizes:
            raise one_of(f"size of {figure.stage}", str(figure.image_px), sizes)
        values = [float(row[figure.column]) for row in rows if row["px"] == str(figure.image_px)]
        best = min(values) if figure.column.endswith("loss") else max(values)
        name = f"{figure.stage} {figure.column} at {figure.image_px}"
        compared[name] = {"ours": best, "reached": figure.value}
    return compared


def reference_table(compared: Mapping[str, Mapping[str, float]]) -> Table:
    """A row per figure that `compare_to_reference` returned."""
    rows = [[name, f"{v['ours']:.4f}", f"{v['reached']:.4f}"] for name, v in compared.items()]
    return Table(["", "here", "there"], rows)
