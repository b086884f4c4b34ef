"""Puts the lessons' scores and plots onto one page: -> reports/lessons.html, lessons.json.

python -m tasks lessons
"""

from pathlib import Path

from lessonpipe.config import StrictModel
from lessonpipe.errors import MissingError
from lessonpipe.io.atomic import atomic_write, write_json
from lessonpipe.report.measured import LIVE, read_measured
from lessonpipe.report.result import RESULT_FILE, Result
from lessons import page


class Params(StrictModel):
    """Which lessons are on the page, in this order."""

    show: list[str]


def run(p: Params, models: Path = Path("models"), reports: Path = Path("reports")) -> None:
    """Gather the lessons' results. Raises `MissingError` when a lesson has not been run."""
    folders = {name: models / name for name in p.show}
    for folder in folders.values():
        if not (folder / RESULT_FILE).is_file():
            raise MissingError(f"{folder} has no {RESULT_FILE}", folder)
    results = {name: Result.read(folder) for name, folder in folders.items()}
    metrics = {name: page.metrics(result) for name, result in results.items()}
    write_json(reports / "lessons.json", metrics, fsync=True)
    atomic_write(reports / "lessons.html", page.lessons_page(results, folders), fsync=True)
    for name, result in results.items():
        for score in result.scores:
            print(f"{name}: {score.text}")
        if took := read_measured(LIVE / name):
            print(f"{name}: trained in {sum(took.values()):.0f} s")
    print(f"look at {reports / 'lessons.html'}")
