"""reports/lessons.html: every system beside the course's score, and the plots of every lesson."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lessonpipe.io.git import commit
from lessonpipe.report.render import data_uri, render
from lessonpipe.report.result import Plot, Result, Score
from lessonpipe.report.tables import Cell, Row, Table

PIPELINE = "lessons/dvc.yaml:"  # before a lesson's name, for DVC
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}


def lessons_page(results: Mapping[str, Result], folders: Mapping[str, Path]) -> str:
    """Returns the self-contained page; `results` and the `folders` with plots are by lesson."""
    lessons = [
        {
            "title": result.title,
            "text": result.text,
            "plots": [_plot(plot, folders[name]) for plot in result.plots],
        }
        for name, result in results.items()
    ]
    return render("lessons.html", commit=commit(), scores=score_table(results), lessons=lessons)


def score_table(results: Mapping[str, Result]) -> Table:
    """A heading per lesson with the command that runs it, and a row per score."""
    columns = ["system", "measure", "lesson", "here"]
    rows: list[Row] = []
    for name, result in results.items():
        command = f"dvc repro {PIPELINE}{name}"
        rows.append([Cell(result.title, (command,), span=len(columns), heading=True)])
        rows += [_row(score) for score in result.scores]
    return Table(columns, rows)


def _row(score: Score) -> Row:
    lesson = "–" if score.lesson is None else f"{score.lesson:.4g}"
    goal = () if score.goal is None else (f"goal {score.goal:.4g}",)
    many = len(score.values) > 1
    extent = f"{min(score.values):.4g}…{max(score.values):.4g}" if many else "one run"
    here = Cell(f"{score.mean:.4g}", (extent,))
    return [score.system, score.measure, Cell(lesson, goal), here]


def _plot(plot: Plot, folder: Path) -> dict[str, str]:
    """Returns what the template shows: an SVG as it is, any other file as an address."""
    path = folder / plot.file
    if path.suffix == ".svg":
        return {"caption": plot.caption, "svg": path.read_text("utf-8")}
    uri = data_uri(path.read_bytes(), MEDIA_TYPES[path.suffix])
    return {"caption": plot.caption, "svg": "", "uri": uri}


def metrics(result: Result) -> dict[str, Any]:
    """Returns the scores as `dvc metrics show` has them: by system and measure."""
    by_system: dict[str, Any] = {}
    for score in result.scores:
        values: dict[str, Any] = {"mean": round(score.mean, 5)}
        if len(score.values) > 1:
            values |= {"low": round(min(score.values), 5), "high": round(max(score.values), 5)}
        if score.lesson is not None:
            values["lesson"] = score.lesson
        if score.goal is not None:
            values["goal"] = score.goal
        if score.parts:
            values["parts"] = {name: round(value, 5) for name, value in score.parts.items()}
        by_system.setdefault(score.system, {})[score.measure] = values
    return by_system
