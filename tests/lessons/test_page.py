"""The lessons' page: their scores in one table, and the same scores for `dvc metrics show`."""

import json

import pytest
import yaml
from PIL import Image

from lessonpipe.report.measured import keep_measured
from lessonpipe.report.result import Plot, Result, Score
from lessons import page
from tests.conftest import ROOT

SCORE = Score(
    system="plain <CNN>", measure="accuracy", values=[0.98, 0.99], seconds=[7, 9], lesson=0.9864
)


def result(*scores: Score, plots=()) -> Result:
    return Result(title="Digits", text="Learnt.", scores=scores, plots=plots)


@pytest.fixture
def lesson(tmp_path):
    """The folder of a lesson that left one score and two plots."""
    folder = tmp_path / "models/digits"
    folder.mkdir(parents=True)
    (folder / "a.svg").write_text("<svg id=mine></svg>")
    Image.new("RGB", (8, 8)).save(folder / "b.webp")
    plots = [Plot(file="a.svg", caption='a "curve"'), Plot(file="b.webp", caption='a "film"')]
    result(SCORE, plots=plots).write(folder)
    keep_measured(tmp_path / "live/digits", {"seed 1": 7.0, "seed 2": 9.0})
    params = {"lessons": {"show": ["digits"]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def test_the_page_has_every_score_beside_the_lessons_and_every_plot_inside(lesson, door, tmp_path):
    done = door("tasks", "lessons")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "reports/lessons.html").read_text()
    assert "plain &lt;CNN&gt;" in html and "<CNN>" not in html
    assert "0.985<small>0.98…0.99</small>" in html and "<td>0.9864</td>" in html
    assert "Digits<small>dvc repro lessons/dvc.yaml:digits</small>" in html
    assert "<svg id=mine></svg>" in html and "data:image/webp;base64," in html
    assert 'alt="a &#34;film&#34;"' in html and "<p class=soft>a &#34;curve&#34;</p>" in html
    assert "src=" not in html.replace('src="data:', "")
    assert "seconds" not in html + (lesson / "result.json").read_text()  # each time others
    assert "digits: trained in 16 s\n" in done.stdout
    metrics = json.loads((tmp_path / "reports/lessons.json").read_text())
    assert metrics["digits"]["plain <CNN>"]["accuracy"] == {
        "mean": 0.985, "low": 0.98, "high": 0.99, "lesson": 0.9864
    }  # fmt: skip


def test_the_parts_of_a_mean_are_metrics_and_no_rows_of_the_table():
    parts = {"Sky": 0.123456, "Road": 0.5}
    streets = result(Score(system="a", measure="mean IoU", values=[0.31], parts=parts))
    assert page.metrics(streets)["a"]["mean IoU"] == {
        "mean": 0.31, "parts": {"Sky": 0.12346, "Road": 0.5}
    }  # fmt: skip
    assert "Sky" not in page.score_table({"streets": streets}).markdown()


def test_a_lesson_that_has_not_run_is_named_with_its_command(lesson, door, tmp_path):
    (lesson / "result.json").unlink()
    done = door("tasks", "lessons")
    assert done.returncode == 2
    assert "run `dvc repro lessons/dvc.yaml:digits`" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_one_value_is_said_to_be_of_one_run_and_an_unknown_lessons_score_is_a_dash():
    score = Score(system="a", measure="b", values=[1.5], goal=2)
    lines = page.score_table({"x": result(score, SCORE)}).markdown().splitlines()
    assert lines[-2] == "| a | b | – (goal 2) | 1.5 (one run) |"
    assert lines[-1] == "| plain <CNN> | accuracy | 0.9864 | 0.985 (0.98…0.99) |"


def test_a_number_changed_in_one_lesson_makes_that_lesson_alone_run_again():
    """DVC reruns what declares a changed section: no two stages share one."""
    stages = yaml.safe_load((ROOT / "lessons/dvc.yaml").read_text())["stages"]
    common = {"seed", "precision"}
    for name, stage in stages.items():
        assert set(stage["params"]) - common == {name}
