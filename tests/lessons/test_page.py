"""The lessons' page: what each left, in one table, and the same figures for `dvc metrics show`."""

import json

import pytest
import yaml
from PIL import Image

from lessons import page
from lessons.result import LessonResult, Plot, Score
from tests.conftest import ROOT

FIGURE = Score(
    system="plain <CNN>", measure="accuracy", values=[0.98, 0.99], seconds=[7, 9], lesson=0.9864
)


@pytest.fixture
def left(tmp_path):
    """A lesson that left one figure and two pictures."""
    folder = tmp_path / "models/digits"
    folder.mkdir(parents=True)
    (folder / "a.svg").write_text("<svg id=mine></svg>")
    Image.new("RGB", (8, 8)).save(folder / "b.webp")
    pictures = [Plot(file="a.svg", words='a "curve"'), Plot(file="b.webp", words="a film")]
    LessonResult(title="Digits", text="Learnt.", figures=[FIGURE], pictures=pictures).write(folder)
    params = {"lessons": {"show": ["digits"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def test_the_page_has_every_figure_beside_the_lessons_and_every_picture_inside(
    left, door, tmp_path
):
    done = door("tasks", "lessons")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "reports/lessons.html").read_text()
    assert "plain &lt;CNN&gt;" in html and "<CNN>" not in html
    assert "0.985<small>0.98…0.99</small>" in html and "<td>0.9864</td>" in html
    assert "<svg id=mine></svg>" in html and "data:image/webp;base64," in html
    assert "src=" not in html.replace('src="data:', "")
    metrics = json.loads((tmp_path / "reports/lessons.json").read_text())
    told = metrics["mnist"]["plain <CNN>"]["accuracy"]
    assert told == {"mean": 0.985, "low": 0.98, "high": 0.99, "lesson": 0.9864, "seconds": 8.0}


def test_what_a_figure_is_the_mean_of_is_a_metric_and_no_line_of_the_table():
    parts = {"Sky": 0.123456, "Road": 0.5}
    figure = Score(system="a", measure="mean IoU", values=[0.31], parts=parts)
    shown = LessonResult(title="Streets", text="", figures=[figure], pictures=[])
    told = page.metrics(shown)["a"]["mean IoU"]
    assert told == {"mean": 0.31, "parts": {"Sky": 0.12346, "Road": 0.5}}
    assert "Sky" not in page.row(figure)


def test_a_lesson_that_has_not_run_is_named_with_its_command(left, door, tmp_path):
    (left / "shown.json").unlink()
    done = door("tasks", "lessons")
    assert done.returncode == 2
    assert "run `dvc repro lessons/dvc.yaml:digits`" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_one_value_is_said_to_be_of_one_run_and_no_figure_of_the_lesson_is_a_dash():
    row = page.row(Score(system="a", measure="b", values=[1.5], goal=2))
    cells = ["a", "b", "–<small>goal 2</small>", "1.5<small>one run</small>", "–"]
    assert row == "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    assert "one run" not in page.row(FIGURE)


def test_a_number_changed_in_one_lesson_makes_that_lesson_alone_run_again():
    """DVC reruns what declares a changed section: no two stages share one."""
    stages = yaml.safe_load((ROOT / "lessons/dvc.yaml").read_text())["stages"]
    common = {"seed", "precision"}
    for name, stage in stages.items():
        assert set(stage["params"]) - common == {name}
