"""The figures that another run is known to have reached, beside ours."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.errors import one_of


class ReferenceFigure(StrictModel):
    """A figure of another run: whose stage, which column of `history.csv`, at which size."""

    stage: str
    what: str
    image_px: int = Field(ge=1)
    reached: float


def compare_to_reference(
    figures: Sequence[ReferenceFigure], histories: Mapping[str, Path]
) -> dict[str, dict[str, float]]:
    """Each figure and ours, which is the stage's best epoch at that size.

    The best is the lowest loss, and the highest of anything else. Raises `UserError`, listing the
    right names, for a stage, a column or a size that the histories do not have.
    """
    found = {}
    for figure in figures:
        if figure.stage not in histories:
            raise one_of("stage with a history", figure.stage, histories)
        rows = list(csv.DictReader(io.StringIO(histories[figure.stage].read_text("utf-8"))))
        if figure.what not in rows[0]:
            raise one_of(f"column of {figure.stage}", figure.what, rows[0])
        sizes = {row["px"] for row in rows}
        if str(figure.image_px) not in sizes:
            raise one_of(f"size of {figure.stage}", str(figure.image_px), sizes)
        ours = [float(row[figure.what]) for row in rows if row["px"] == str(figure.image_px)]
        best = min(ours) if figure.what.endswith("loss") else max(ours)
        name = f"{figure.stage} {figure.what} at {figure.image_px}"
        found[name] = {"ours": best, "reached": figure.reached}
    return found


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """A row a figure."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{v['ours']:.4f}</td><td>{v['reached']:.4f}</td></tr>"
        for name, v in figures.items()
    )
    return (
        f"<div class=wide><table><tr><th></th><th>here</th><th>there</th></tr>{rows}</table></div>"
    )
