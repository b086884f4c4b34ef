"""Put the lessons' figures and pictures onto one page: -> reports/lessons.html, lessons.json.

python -m tasks lessons
"""

from pathlib import Path

from lessonpipe.config import StrictModel
from lessonpipe.errors import MissingError
from lessonpipe.io.atomic import atomic_write, write_json
from lessons import page
from lessons.result import RESULT_FILE, LessonResult

METRICS = {"digits": "mnist", "streets": "camvid", "bedrooms": "bedrooms", "numbers": "numbers"}


class Params(StrictModel):
    """Which lessons are on the page, in this order."""

    show: list[str]


def run(p: Params, models: Path = Path("models"), reports: Path = Path("reports")) -> None:
    """Gather what the lessons left. Raises `MissingError` when one has not been run."""
    for name in p.show:
        if not (models / name / RESULT_FILE).is_file():
            raise MissingError(f"{models / name} has no {RESULT_FILE}", models / name)
    found = {name: (LessonResult.read(models / name), models / name) for name in p.show}
    figures = {METRICS[name]: page.metrics(shown) for name, (shown, _) in found.items()}
    write_json(reports / "lessons.json", figures)
    atomic_write(reports / "lessons.html", page.page(found))
    for name, (shown, _) in found.items():
        for figure in shown.figures:
            beside = "" if figure.lesson is None else f" (lesson {figure.lesson:.4g})"
            print(f"{name}: {figure.system}: {figure.measure} {figure.mean:.4f}{beside}")
    print(f"look at {reports / 'lessons.html'}")
