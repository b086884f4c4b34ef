"""Plots of streets: classes over photos, the legend of their colours, IoU by class."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lessonpipe.data.pictures import grid, stacked, to_picture
from lessonpipe.report.curves import as_svg, pyplot
from lessons.streets.classes import COLOURS, NAMES, VOID

BACKGROUND, INK = (250, 250, 248), (40, 40, 40)


def overlay(photo: Image.Image, labels: np.ndarray, strength: float = 0.6) -> Image.Image:
    """Returns a photo with the colours of its classes, `H W`, blended over it."""
    colours = Image.fromarray(np.array(COLOURS, np.uint8)[labels])
    return Image.blend(photo, colours, strength)


def legend(width: int) -> Image.Image:
    """Returns the colours and names of the classes in rows, `width` pixels wide."""
    across = max(1, width // 118)
    sheet = Image.new("RGB", (width, -(-len(NAMES) // across) * 24 + 6), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        x, y = 8 + i % across * 118, 6 + i // across * 24
        pen.rectangle((x, y, x + 16, y + 16), fill=colour, outline=INK)
        pen.text((x + 22, y + 8), name, fill=INK, font=font, anchor="lm")
    return sheet


def comparison(
    photos: Sequence[Image.Image], truths: Tensor, predictions: Mapping[str, Sequence[Tensor]]
) -> Image.Image:
    """Returns photo, truth and predictions by system, a row per photo, above the legend.

    Masks are `H W` bytes; `truths` is `N H W`.
    """
    rows = [
        [photo, *(overlay(photo, np.asarray(y)) for y in (truth, *predicted))]
        for photo, truth, *predicted in zip(photos, truths, *predictions.values(), strict=True)
    ]
    sheet = grid(rows, ["photo", "truth", *predictions])
    return stacked([sheet, legend(sheet.width)])


def batch(x: Tensor, y: Tensor, most: int = 4) -> Image.Image:
    """Returns photos `B 3 H W` in 0...1 beside the classes `B H W` over them, and the legend."""
    return comparison([to_picture(photo) for photo in x[:most]], y[:most].cpu(), {})


def bars(ious: Mapping[str, Sequence[float]]) -> str:
    """Returns an SVG: intersection over union of every class, a bar per system.

    A class that is nowhere has NaN and gets a dash.
    """
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(8, 3.2))
    positions, width = np.arange(VOID), 0.8 / len(ious)
    for i, (name, values) in enumerate(ious.items()):
        heights = np.nan_to_num(np.array(values))
        left = positions + (i - (len(ious) - 1) / 2) * width
        container = panel.bar(left, heights, width, label=name)
        labels = ["–" if np.isnan(value) else f"{value:.2f}" for value in values]
        panel.bar_label(container, labels, fontsize=6, padding=1)
    panel.set_xticks(positions, NAMES[:VOID], rotation=30, ha="right")
    panel.set_ylabel("intersection over union")
    panel.set_ylim(0, 1.05)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return as_svg(figure)
