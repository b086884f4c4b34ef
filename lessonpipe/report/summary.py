"""What `reports/metrics.json` says: in one line, as the README's table, and as the report's."""

from collections.abc import Iterator, Mapping
from typing import Any

from lessonpipe.report.tables import Cell, Table

Model = Mapping[str, Mapping[str, float]]  # metric -> mean, median, low, high
SUMMARY = {  # the README's columns; text, damage and unseen are each a metric and its ceiling
    "psnr_gain": "PSNR over the crappy picture, dB",
    "text": "text removed (ceiling)",
    "damage": "damage removed (ceiling)",
    "unseen": "damage unseen in training removed (ceiling)",
    "ghost": "ghost, levels (p95)",
    "flat_ghost": "ghost on flat ground (p95)",
    "colourfulness": "colourfulness",
    "ab_error": "colours off, Lab ab",
    "perceptual": "perceptual distance",
    "sharpness": "sharpness",
    "clean_psnr": "undamaged photos after it, dB",
}
METRICS = {  # the report's rows
    "psnr_gain": "PSNR gained, dB",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
    "text_removed": "text removed",
    "text_ceiling": "text ceiling",
    "damage_removed": "damage removed",
    "damage_ceiling": "damage ceiling",
    "unseen_removed": "unseen damage removed",
    "unseen_ceiling": "unseen damage ceiling",
    "ghost": "ghost, levels",
    "ghost_p95": "ghost, p95",
    "flat_ghost": "ghost on flat ground",
    "flat_ghost_p95": "ghost on flat ground, p95",
    "sharpness": "sharpness",
    "colourfulness": "colourfulness",
    "ab_error": "colours off, Lab ab",
    "clean_psnr": "undamaged photos after it, dB",
}
DIGITS = {"ab_error": 1, "perceptual": 3, "clean_psnr": 1}  # of the summary; of others 2
COLOUR = ("colourfulness", "ab_error")
COLOUR_DAMAGE = 5  # mean ab error of crappy pictures above which colours are in the summary


def headline(metrics: Mapping[str, Any]) -> str:
    """Returns one line: every model's mean PSNR gain, and how much local damage it removed."""
    parts = []
    for px, name, model in _models(metrics):
        if name != "crappy":
            text = f"{name} at {px}: {model['psnr_gain']['mean']:+.2f} dB"
            for kind in ("text", "damage", "unseen"):
                if removed := model.get(f"{kind}_removed"):
                    text += f", {kind} removed {removed['mean']:.2f}"
            if left := model.get("flat_ghost"):
                text += f", ghost on flat ground {left['mean']:.1f}"
            parts.append(text)
    return "; ".join(parts)


def summary_table(metrics: Mapping[str, Any]) -> Table:
    """A row per model: the means of its metrics over photos, the PSNR gain with its 95 % interval.

    Colours are included where the recipe damages them.
    """
    models = list(_models(metrics))
    colour = any(
        model["ab_error"]["mean"] > COLOUR_DAMAGE for _, name, model in models if name == "crappy"
    )
    columns = [
        column
        for column in SUMMARY
        if (colour or column not in COLOUR)
        and any(column in model or f"{column}_removed" in model for _, _, model in models)
    ]
    return Table(
        ["at", "", *(SUMMARY[column] for column in columns)],
        [[px, name, *(_summary_cell(m, column) for column in columns)] for px, name, m in models],
    )


def metrics_table(models: Mapping[str, Any]) -> Table:
    """A row per metric, a column per model of one size: the mean, its 95 % interval, the median."""
    scored = {name: model for name, model in models.items() if "psnr" in model}
    rows = [c for c in METRICS if any(c in model for model in scored.values())]
    return Table(
        ["", *scored],
        [[METRICS[c], *(_metric_cell(m.get(c)) for m in scored.values())] for c in rows],
        caption="means over photos; below, 95 % bootstrap intervals and the median",
    )


def ratio_lines(models: Mapping[str, Any]) -> list[str]:
    """Returns a line per pair of models of one size and compared metric: the ratio of means."""
    return [
        f"{name.replace('_', ' ')}: {metric} × {v['times']:.2f} ({v['low']:.2f}…{v['high']:.2f})"
        for name, model in models.items()
        if "psnr" not in model
        for metric, v in model.items()
        if "times" in v
    ]


def _models(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Model]]:
    """Yields (size, name, metrics) of every model, comparisons of two models left out."""
    for px, models in metrics.items():
        for name, model in models.items():
            if px.isdigit() and "psnr_gain" in model:
                yield px, name, model


def _summary_cell(model: Model, column: str) -> Cell:
    if column == "psnr_gain":
        v = model[column]
        return Cell(f"{v['mean']:+.2f}", (f"{v['low']:+.2f}…{v['high']:+.2f}",))
    if column in ("text", "damage", "unseen"):
        removed, ceiling = model.get(f"{column}_removed"), model.get(f"{column}_ceiling")
        text = f"{removed['mean']:.2f}" if removed else "–"
        return Cell(text, (f"{ceiling['mean']:.2f}",) if ceiling else ())
    if column not in model:
        return Cell("–")
    if p95 := model.get(f"{column}_p95"):
        return Cell(f"{model[column]['mean']:.1f}", (f"{p95['mean']:.0f}",))
    return Cell(f"{model[column]['mean']:.{DIGITS.get(column, 2)}f}")


def _metric_cell(v: Mapping[str, float] | None) -> Cell:
    if v is None:
        return Cell("–")
    notes = (f"{v['low']:.3f}…{v['high']:.3f}", f"median {v['median']:.3f}")
    return Cell(f"{v['mean']:.3f}", notes)
