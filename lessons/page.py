"""reports/lessons.html: every system beside the lesson's figure, and what there is to look at."""

import html
from pathlib import Path
from typing import Any

from lessonpipe.io.git import commit
from lessonpipe.report.style import STYLE, inline
from lessons.result import LessonResult, Score

TYPES = {".jpg": "jpeg", ".png": "png", ".webp": "webp", ".gif": "gif"}
HEAD = "<tr><th>system</th><th>measure</th><th>lesson</th><th>here</th><th>seconds</th></tr>"


def page(lessons: dict[str, tuple[LessonResult, Path]]) -> str:
    """The whole page; every picture is inside it. Lessons are `name: (what it left, where)`."""
    rows = [HEAD]
    for name, (shown, _) in lessons.items():
        command = f"dvc repro lessons/dvc.yaml:{name}"
        rows.append(
            f"<tr><th colspan=3>{html.escape(shown.title)}</th>"
            f"<td colspan=2><code>{command}</code></td></tr>"
        )
        rows += [row(figure) for figure in shown.figures]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>lessonpipe: lessons</title>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style><h1>The lesson's other systems</h1>",
        f"<p class=soft>commit {html.escape(commit())} · means over the seeds; below, the lowest "
        "and the highest of them, or that there was one run</p>",
        f"<div class=wide><table>{''.join(rows)}</table></div>",
    ]
    for shown, folder in lessons.values():
        parts.append(f"<h2>{html.escape(shown.title)}</h2><p>{html.escape(shown.text)}</p>")
        for one in shown.pictures:
            parts.append(inside(folder / one.file, one.words))
            parts.append(f"<p class=soft>{html.escape(one.words)}</p>")
    return "\n".join(parts) + "\n"


def row(figure: Score) -> str:
    """A line of the table."""
    theirs = "–" if figure.lesson is None else f"{figure.lesson:.4g}"
    if figure.goal is not None:
        theirs += f"<small>goal {figure.goal:.4g}</small>"
    spread = f"{min(figure.values):.4g}…{max(figure.values):.4g}"
    ours = f"{figure.mean:.4g}<small>{spread if len(figure.values) > 1 else 'one run'}</small>"
    took = figure.seconds
    seconds = f"{sum(took) / len(took):.0f}" if took else "–"
    cells = [html.escape(figure.system), html.escape(figure.measure), theirs, ours, seconds]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def inside(path: Path, words: str) -> str:
    """A picture as a part of the page, with words for who cannot see it."""
    if path.suffix == ".svg":
        return f'<div class="wide curves">{path.read_text("utf-8")}</div>'
    return inline(path.read_bytes(), TYPES[path.suffix], words)


def metrics(shown: LessonResult) -> dict[str, Any]:
    """The figures as `dvc metrics show` has them."""
    found: dict[str, Any] = {}
    for figure in shown.figures:
        told: dict[str, Any] = {"mean": round(figure.mean, 5)}
        if len(figure.values) > 1:
            told |= {"low": round(min(figure.values), 5), "high": round(max(figure.values), 5)}
        if figure.lesson is not None:
            told["lesson"] = figure.lesson
        if figure.goal is not None:
            told["goal"] = figure.goal
        if figure.seconds:
            told["seconds"] = round(sum(figure.seconds) / len(figure.seconds), 1)
        if figure.parts:
            told["parts"] = {name: round(value, 5) for name, value in figure.parts.items()}
        found.setdefault(figure.system, {})[figure.measure] = told
    return found
