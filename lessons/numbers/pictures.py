"""What there is to see of counting: accuracies, and which words are wrong."""

from collections.abc import Mapping, Sequence

import numpy as np

from lessonpipe.report.curves import as_svg, pyplot


def accuracies(systems: Sequence[tuple[str, Sequence[float], float | None]]) -> str:
    """An SVG: a bar for each system's mean, a dot for each seed, a line where the lesson was."""
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


def kinds(systems: Mapping[str, Mapping[str, float]]) -> str:
    """An SVG of accuracy by kind of word, a row each system that predicts every word."""
    shown = {name: by for name, by in systems.items() if by}
    columns = list(dict.fromkeys(kind for by in shown.values() for kind in by))
    figure, panel = pyplot().subplots(figsize=(7.2, 0.4 * len(shown) + 1.4))
    table = np.array([[by.get(kind, np.nan) for kind in columns] for by in shown.values()])
    table = table.reshape(len(shown), len(columns))
    if table.size:
        panel.imshow(table, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        panel.text(column, row, f"{table[row, column]:.2f}", ha="center", va="center", fontsize=8)
    panel.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    panel.set_yticks(range(len(shown)), list(shown))
    return as_svg(figure)
