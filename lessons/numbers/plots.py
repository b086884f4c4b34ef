"""Plots of numbers: accuracies of all networks, by kind of word and by position."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lessonpipe.report.curves import as_svg, pyplot
from lessons.numbers.words import WORDS


def accuracies(systems: Sequence[tuple[str, Sequence[float], float | None]]) -> str:
    """Returns an SVG: a bar for each mean, a dot for each seed, a line at the course's accuracy.

    `systems` are (title, accuracy per seed, the course's).
    """
    figure, panel = pyplot().subplots(figsize=(6.4, 0.36 * len(systems) + 0.9))
    for row, (_, values, lesson) in enumerate(systems):
        panel.barh(row, sum(values) / len(values), color="#9db8d9", height=0.7)
        panel.plot(values, [row] * len(values), "k.", markersize=4)
        if lesson is not None:
            label = "the lesson's" if row == 0 else None
            panel.plot([lesson] * 2, [row - 0.4, row + 0.4], color="#c0392b", label=label)
    panel.set_yticks(range(len(systems)), [name for name, _, _ in systems])
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel("accuracy")
    panel.spines[["top", "right"]].set_visible(False)
    if any(lesson is not None for _, _, lesson in systems):
        panel.legend(fontsize=8, frameon=False, loc="lower right")
    return as_svg(figure)


def batch(x: Tensor, y: Tensor, most: int = 12) -> Image.Image:
    """Returns a picture of text: what streams `B T` read, and below what they should predict."""
    font, line, gap = ImageFont.load_default(13), 18, 8
    rows = [
        (f"{number}  {name}", " ".join(WORDS[i] for i in ids))
        for number, (read, wanted) in enumerate(zip(x.tolist(), y.tolist(), strict=True), 1)
        for name, ids in (("reads", read), ("next", wanted))
    ][: 2 * most]
    left = 70
    width = left + int(max(font.getlength(text) for _, text in rows)) + gap
    sheet = Image.new("RGB", (width, len(rows) * line + len(rows) // 2 * gap + gap), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (head, text) in enumerate(rows):
        top = gap + i * line + i // 2 * gap
        ink = (40, 40, 40) if i % 2 == 0 else (30, 90, 160)
        pen.text(
            (gap, top), head if i % 2 == 0 else head.split()[1], fill=(140, 140, 140), font=font
        )
        pen.text((left, top), text, fill=ink, font=font)
    return sheet


def kinds(systems: Mapping[str, Mapping[str, float]]) -> str:
    """Returns an SVG of accuracy by kind of word, a row per system."""
    columns = list(dict.fromkeys(kind for by in systems.values() for kind in by))
    figure, panel = pyplot().subplots(figsize=(7.2, 0.4 * len(systems) + 1.4))
    table = np.array([[by[kind] for kind in columns] for by in systems.values()])
    panel.imshow(table, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        panel.text(column, row, f"{table[row, column]:.2f}", ha="center", va="center", fontsize=8)
    panel.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    panel.set_yticks(range(len(systems)), list(systems))
    return as_svg(figure)


def positions(systems: Mapping[str, Tensor], first: int = 40) -> str:
    """Returns an SVG of accuracy, `T`, over the `first` words of a stream, a line per system."""
    figure, panel = pyplot().subplots(figsize=(6.4, 3.2))
    for name, accuracy in systems.items():
        shown = accuracy[:first]
        panel.plot(range(1, len(shown) + 1), shown, label=name, linewidth=1.2)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("word of the stream")
    panel.set_ylabel("accuracy")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return as_svg(figure)
