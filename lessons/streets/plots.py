"""Classes drawn over photos, the legend of their colours, and how well each is found."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lessonpipe.data.pictures import grid, stacked
from lessonpipe.report.curves import as_svg, pyplot
from lessons.streets.classes import COLOURS, NAMES, VOID

PAPER, INK = (250, 250, 248), (40, 40, 40)


def overlay(photo: Image.Image, labels: np.ndarray, strength: float = 0.6) -> Image.Image:
    """A photo with the colours of its classes `H W` laid over it."""
    colours = Image.fromarray(np.array(COLOURS, np.uint8)[labels])
    return Image.blend(photo, colours, strength)


def legend(width: int) -> Image.Image:
    """The colours and names of the classes, in rows."""
    across = max(1, width // 118)
    sheet = Image.new("RGB", (width, -(-len(NAMES) // across) * 24 + 6), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        x, y = 8 + i % across * 118, 6 + i // across * 24
        pen.rectangle((x, y, x + 16, y + 16), fill=colour, outline=INK)
        pen.text((x + 22, y + 8), name, fill=INK, font=font, anchor="lm")
    return sheet


def comparison(
    photos: Sequence[Image.Image], truths: Tensor, columns: Mapping[str, Sequence[Tensor]]
) -> Image.Image:
    """Photo, truth and what networks say, a row a photo, above the legend."""
    rows = [
        [photo, *(overlay(photo, np.asarray(y)) for y in (truth, *said))]
        for photo, truth, *said in zip(photos, truths, *columns.values(), strict=True)
    ]
    sheet = grid(rows, ["photo", "truth", *columns])
    return stacked([sheet, legend(sheet.width)])


def bars(found: Mapping[str, Sequence[float]]) -> str:
    """An SVG: intersection over union of every class, a bar and a number a network."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(8, 3.2))
    places, wide = np.arange(VOID), 0.8 / len(found)
    for i, (name, values) in enumerate(found.items()):
        heights = np.nan_to_num(np.array(values))
        at = places + (i - (len(found) - 1) / 2) * wide
        drawn = panel.bar(at, heights, wide, label=name)
        words = ["–" if np.isnan(value) else f"{value:.2f}" for value in values]
        panel.bar_label(drawn, words, fontsize=6, padding=1)
    panel.set_xticks(places, NAMES[:VOID], rotation=30, ha="right")
    panel.set_ylabel("intersection over union")
    panel.set_ylim(0, 1.05)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return as_svg(figure)
