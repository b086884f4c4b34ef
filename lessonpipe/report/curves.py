"""Training curves, as SVG."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TITLES = {
    "pretrain_generator": "Generator, by pixels",
    "pretrain_critic": "Critic",
    "fit_gan": "GAN",
    "fit_pixel": "Larger sizes, by pixels",
    "fit_feature": "Larger sizes, feature loss",
}


def curves(histories: dict[str, Path]) -> str:
    """Returns an SVG, a panel per stage: losses on the left axis, PSNR or accuracy on the right.

    `histories` are `history.csv` files by stage.
    """
    plt = pyplot()
    size = (3.1 * len(histories), 2.7)
    figure, panels = plt.subplots(1, len(histories), figsize=size, squeeze=False)
    for panel, (stage, path) in zip(panels[0], histories.items(), strict=True):
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        epochs = [int(row["epoch"]) for row in rows]
        panel.set_title(TITLES.get(stage, stage), fontsize=10)
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        for key in rows[0]:
            if key.endswith("_loss") and not key.startswith("valid_critic"):
                values = [float(row[key]) for row in rows]
                panel.plot(epochs, values, marker=".", label=key.replace("_", " "))
        right = panel.twinx()
        metric = "valid_accuracy" if stage == "pretrain_critic" else "valid_psnr"
        right.plot(epochs, [float(row[metric]) for row in rows], "k--", alpha=0.5)
        right.set_ylabel("accuracy" if metric == "valid_accuracy" else "PSNR, dB", fontsize=8)
        panel.legend(fontsize=7, frameon=False)
        panel.spines["top"].set_visible(False)
        right.spines["top"].set_visible(False)
    return as_svg(figure)


def rate_curve(
    stage: str, rates: Sequence[float], losses: Sequence[float], suggested: Mapping[str, float]
) -> str:
    """Returns an SVG of the smoothed loss over the learning rates, each suggestion a dot."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(5, 3.2))
    panel.set_title(f"Learning rates: {TITLES.get(stage, stage)}", fontsize=10)
    panel.semilogx(rates, losses)
    for name, rate in suggested.items():
        nearest = min(range(len(rates)), key=lambda i: abs(rates[i] - rate))
        panel.plot(rate, losses[nearest], "o", label=f"{name} {rate:.1e}")
    panel.set_xlabel("learning rate")
    panel.set_ylabel("loss, smoothed")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)
    return as_svg(figure)


def pyplot() -> Any:
    """Returns matplotlib's pyplot, which draws to files without a display.

    Element ids come from a fixed salt, so that equal figures are equal files.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "lessonpipe", "font.size": 9})
    return plt


def as_svg(figure: Any) -> str:
    """Returns the figure as an SVG element, and closes it."""
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    pyplot().close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
