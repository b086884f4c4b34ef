"""Training curves as pictures."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TITLES = {
    "pretrain_generator": "Generator, by pixels",
    "pretrain_critic": "Critic",
    "fit_gan": "GAN",
    "fit_feature": "Feature loss",
    "fit_control": "Control: the same by pixels",
}


def curves(histories: dict[str, Path]) -> str:
    """An SVG with a panel a stage: losses on the left axis, PSNR or accuracy on the right."""
    plt = pyplot()
    figure, panels = plt.subplots(1, len(histories), figsize=(3.1 * len(histories), 2.7))
    for panel, (stage, path) in zip(panels, histories.items(), strict=True):
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
        measure = "valid_accuracy" if stage == "pretrain_critic" else "valid_psnr"
        right.plot(epochs, [float(row[measure]) for row in rows], "k--", alpha=0.5)
        right.set_ylabel("accuracy" if measure == "valid_accuracy" else "PSNR, dB", fontsize=8)
        panel.legend(fontsize=7, frameon=False)
        panel.spines["top"].set_visible(False)
        right.spines["top"].set_visible(False)
    return as_svg(figure)


def rate_curve(
    stage: str, rates: Sequence[float], losses: Sequence[float], suggested: Mapping[str, float]
) -> str:
    """An SVG of the smoothed loss over the rates that were tried, each suggestion a dot."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(5, 3.2))
    panel.set_title(f"Learning rates: {TITLES.get(stage, stage)}", fontsize=10)
    panel.semilogx(rates, losses)
    for name, rate in suggested.items():
        at = min(range(len(rates)), key=lambda i: abs(rates[i] - rate))
        panel.plot(rate, losses[at], "o", label=f"{name} {rate:.1e}")
    panel.set_xlabel("learning rate")
    panel.set_ylabel("loss, smoothed")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)
    return as_svg(figure)


def pyplot() -> Any:
    """matplotlib, drawing to files, the same each time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "lessonpipe", "font.size": 9})
    return plt


def as_svg(figure: Any) -> str:
    """The figure as the text of an SVG element, always the same for the same figure."""
    figure.tight_layout()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    pyplot().close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
