"""What evaluate found, as a table for a README."""

from collections.abc import Mapping
from typing import Any

Measures = Mapping[str, Mapping[str, float]]
TITLES = {
    "psnr_gain": "PSNR over the crappy picture, dB",
    "text": "text removed (ceiling)",
    "damage": "damage removed (ceiling)",
    "colourfulness": "colourfulness",
    "ab_error": "colours off, Lab ab",
    "perceptual": "perceptual distance",
    "sharpness": "sharpness",
}
COLOUR = ("colourfulness", "ab_error")


def figures(metrics: Mapping[str, Any]) -> str:
    """A row a model: the median PSNR gained with the mean's 95 % interval, else means.

    Colours stand in it where the damage takes some: where crappy pictures are off by more than 5.
    """
    rows = [
        (px, name, model)
        for px, models in metrics.items()
        if px.isdigit()
        for name, model in models.items()
        if "psnr_gain" in model
    ]
    off = any(model["ab_error"]["mean"] > 5 for _, name, model in rows if name == "crappy")
    columns = [
        column
        for column in TITLES
        if (column not in COLOUR or off)
        and any(column in model or f"{column}_removed" in model for _, _, model in rows)
    ]
    lines = [
        "| at | | " + " | ".join(TITLES[c] for c in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for px, name, model in rows:
        cells = " | ".join(_cell(model, column) for column in columns)
        lines.append(f"| {px} | {name} | {cells} |")
    return "\n".join(lines)


def _cell(model: Measures, column: str) -> str:
    if column == "psnr_gain":
        v = model[column]
        return f"{v['median']:+.2f} ({v['low']:+.2f}…{v['high']:+.2f})"
    if column in ("text", "damage"):
        removed, ceiling = model.get(f"{column}_removed"), model.get(f"{column}_ceiling")
        told = f"{removed['mean']:.2f}" if removed else "–"
        return told + (f" ({ceiling['mean']:.2f})" if ceiling else "")
    digits = 1 if column == "ab_error" else 3 if column == "perceptual" else 2
    return f"{model[column]['mean']:.{digits}f}" if column in model else "–"
