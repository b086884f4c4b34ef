"""Whether two ways of training differ: paired differences over training seeds and photos."""

from collections.abc import Mapping, Sequence

import numpy as np

from lessonpipe.report.bootstrap import bootstrap_difference
from lessonpipe.report.tables import Cell, Row, Table

METRICS = {  # a table's columns, the last ones of critics and lessons; of errors less is better
    "psnr_gain": "PSNR gained, dB",
    "text_removed": "text removed",
    "flat_ghost": "ghost on flat ground",
    "perceptual": "perceptual distance",
    "sharpness": "sharpness",
    "accuracy": "accuracy",
    "training error": "training error",
    "tens told right": "tens told right",
}
Values = Sequence[Sequence[float]]  # seeds x photos


def ablation_table(arms: Mapping[str, Mapping[str, Values]], seconds: Mapping[str, float]) -> Table:
    """A row per arm: its means and, below the first arm, their differences from the first arm's.

    `arms` holds values by metric; `seconds` are NaN where they are unknown. A significant
    difference is bold in Markdown.
    """
    first = next(iter(arms))
    metrics = [m for m in METRICS if all(m in values for values in arms.values())]
    rows: list[Row] = [
        [
            name,
            *(_cell(values[m], None if name == first else arms[first][m]) for m in metrics),
            "–" if np.isnan(seconds[name]) else f"{seconds[name]:.0f}",
        ]
        for name, values in arms.items()
    ]
    return Table(["", *(METRICS[m] for m in metrics), "seconds"], rows)


def _cell(values: Values, baseline: Values | None) -> Cell:
    mean = f"{np.mean(values):.3f}"
    if baseline is None:
        return Cell(mean)
    d = bootstrap_difference(values, baseline)
    bold = "**" if d.significant else ""
    return Cell(f"{mean} {bold}{d.mean:+.3f}{bold}", (f"{d.low:+.3f}…{d.high:+.3f}",))
