"""A question is answered by real DVC experiments, once; `--again` runs them anew."""

import json
from pathlib import Path

import pytest
import yaml

from flows.experiments import ablations
from lessonpipe.errors import UserError
from lessonpipe.report.result import Result, Score
from tasks import (
    crappify,
    digits,
    evaluate,
    fit_feature,
    fit_gan,
    numbers,
    pretrain_critic,
    pretrain_generator,
)
from tasks.pipeline.dvc_files import with_cure
from tests.conftest import ROOT, make_picture

STAGES = {
    module.__name__.removeprefix("tasks."): module
    for module in (pretrain_generator, pretrain_critic, fit_gan, fit_feature, evaluate, crappify)
}
LESSONS = {"lessons/dvc.yaml:digits": digits, "lessons/dvc.yaml:numbers": numbers}
STAGE = """
import json, os, yaml
from pathlib import Path
with open(os.environ["TALLY"], "a") as tally:
    tally.write("x")
p = yaml.safe_load(Path("params.yaml").read_text())["pretrain_critic"]
out = Path("models/pretrain_critic")
out.mkdir(parents=True)
score = 0.5 + 0.1 * p["width"] + 0.004 * p["seed"]
(out / "metrics.json").write_text(json.dumps({"accuracy": score}))
assert os.environ["LESSONPIPE_PROGRESS"] == "json"
print(json.dumps({"done": {"stage": "pretrain_critic", "seconds": 7}}))
"""
QUESTIONS = """
seeds: [1, 2]
common: {pretrain_critic.depth: 2}
questions:
  width:
    asks: Wide or narrow?
    stage: pretrain_critic
    arms:
      narrow: {}
      wide: {pretrain_critic.width: 3}
"""


def test_every_arm_is_valid_params_for_its_stage():
    file = ablations.Questions(**yaml.safe_load((ROOT / ablations.QUESTIONS).read_text()))
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert len(file.questions) >= 16
    for question in file.questions.values():
        assert question.stage in {**STAGES, **LESSONS}
        common = {} if question.is_lesson else file.common
        for sets in question.arms.values():
            params = json.loads(json.dumps(whole))
            for key, value in {**common, **question.all_arms, **sets}.items():
                *parents, last = key.removeprefix("+").split(".")
                section = params
                for part in parents:
                    section = section[int(part) if part.isdigit() else part]
                assert (last in section) != key.startswith("+"), key
                section[last] = value
            if question.is_lesson:
                LESSONS[question.stage].Params(**params[question.stage_name])
                continue
            for name, module in STAGES.items():
                section = {**params.get(getattr(module, "BASE", ""), {}), **params[name]}
                given = {"seed": 1, "precision": "auto", "recipes": params["recipes"]}
                given = {k: v for k, v in given.items() if k in module.Params.model_fields}
                module.Params(**given, **section)


def test_an_unknown_question_is_an_error_that_lists_the_right_ones(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="residual"):
        ablations.answer(["residuals"])


def test_missing_pairs_are_an_error_before_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ablations.QUESTIONS.parent.mkdir(parents=True)
    ablations.QUESTIONS.write_text(QUESTIONS.replace("stage: pretrain_critic", "stage: fit_gan"))
    monkeypatch.setattr(ablations, "run_all", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(UserError, match="run `dvc repro crappify` first"), with_cure():
        ablations.answer([])


def test_again_removes_the_named_answer_alone_and_runs_its_experiments_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ablations.QUESTIONS.parent.mkdir(parents=True)
    file = yaml.safe_load(QUESTIONS)
    file["questions"]["depth"] = file["questions"]["width"] | {"asks": "Deep?"}
    ablations.QUESTIONS.write_text(yaml.safe_dump(file))
    old = {"experiments": "old", "seconds": {}, "values": {}}
    ablations.RESULTS.parent.mkdir()
    ablations.RESULTS.write_text(json.dumps({"depth": old, "width": old}))
    removed, ran = [], []

    def run_all(experiments, side_by_side, *, anew):
        # interrupted here, it would continue
        assert json.loads(ablations.RESULTS.read_text()) == {"depth": old}
        ran.extend(one.name for one in experiments)
        assert anew

    monkeypatch.setattr(ablations, "remove", lambda all: removed.extend(one.name for one in all))
    monkeypatch.setattr(ablations, "run_all", run_all)
    monkeypatch.setattr(ablations, "measure", lambda *_: {"seconds": {}, "values": {}})
    ablations.answer(["width"], again=True)
    found = json.loads(ablations.RESULTS.read_text())
    assert found["depth"] == old
    names = [name for arm in found["width"]["experiments"].values() for name in arm]
    assert names == ran == removed and len(set(names)) == 4
    page = ablations.PAGE.read_text()
    assert "flows ablations width --again`" in page and "Not run yet" not in page
    ablations.RESULTS.write_text(json.dumps({"width": found["width"]}))
    ablations.answer(["width"])
    assert "## Not run yet" in ablations.PAGE.read_text()
    assert "\n\n- Deep? `python -m flows ablations depth`\n" in ablations.PAGE.read_text()


@pytest.mark.slow
def test_a_question_is_answered_by_experiments_once_unless_asked_again(
    dvc_project, capsys, tmp_path, monkeypatch
):
    tally = tmp_path / "tally"
    monkeypatch.setenv("TALLY", str(tally))
    params = "pretrain_critic: {width: 1, depth: 5}\n"
    dvc_project(
        {
            "stage.py": STAGE,
            "flows/experiments/ablations.yaml": QUESTIONS.replace("[1, 2]", "[2]"),
            "params.yaml": params,
            "dvc.yaml": yaml.safe_dump(
                {
                    "stages": {
                        "pretrain_critic": {
                            "cmd": "python stage.py",
                            "params": ["pretrain_critic"],
                            "outs": ["models/pretrain_critic"],
                        }
                    }
                }
            ),
        }
    )

    ablations.answer([], side_by_side=2)
    found = json.loads(ablations.RESULTS.read_text())["width"]
    assert found["values"]["128"]["wide"]["accuracy"] == [[pytest.approx(0.808)]]
    assert found["seconds"] == {"narrow": [7], "wide": [7]}
    page = ablations.PAGE.read_text()
    assert "| wide | 0.808 **+0.200** (+0.200…+0.200) | 7 |" in page
    assert Path("params.yaml").read_text() == params  # the workspace is left alone

    capsys.readouterr()
    ablations.answer(["width"])
    assert "answered already" in capsys.readouterr().out
    assert len(tally.read_text()) == 2

    ablations.answer(["width"], again=True)
    assert json.loads(ablations.RESULTS.read_text())["width"] == found
    assert len(tally.read_text()) == 4  # not taken from DVC's run cache


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Answers `width` with models whose values are given, and returns the pictures and the page."""
    monkeypatch.chdir(tmp_path)
    ablations.QUESTIONS.parent.mkdir(parents=True)
    ablations.QUESTIONS.write_text(QUESTIONS)

    class Grid:
        picture = staticmethod(make_picture)

    def run(wide):
        values = {"narrow": [0.5, 0.6], "wide": wide}
        scores = {arm: {"sharpness": [photos]} for arm, photos in values.items()}
        monkeypatch.setattr(ablations, "_measure_models", lambda *_: (scores, Grid()))
        for name in ("run_all", "remove", "dvc"):
            monkeypatch.setattr(ablations, name, lambda *_, **__: None)
        monkeypatch.setattr(ablations, "seconds", lambda _: 1.0)
        ablations.answer([], again=True)
        files = sorted(path.name for path in ablations.PICTURES.glob("*"))
        return files, "![Wide or narrow?](ablations/width_128.jpg)" in ablations.PAGE.read_text()

    return run


def test_only_a_significant_difference_has_a_picture(drawn):
    assert drawn([0.4, 0.7]) == ([], False)
    found = json.loads(ablations.RESULTS.read_text())["width"]
    assert found["values"]["128"]["wide"]["sharpness"] == [[0.4, 0.7], [0.4, 0.7]]  # by seed
    assert drawn([0.7, 0.8]) == (["width_128.jpg"], True)
    assert drawn([0.4, 0.7]) == ([], False)


def test_a_lesson_measures_itself_with_all_its_seeds_in_one_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ablations.QUESTIONS.parent.mkdir(parents=True)
    lesson = QUESTIONS.replace("stage: pretrain_critic", "stage: lessons/dvc.yaml:digits")
    lesson = lesson.replace("{pretrain_critic.width: 3}", "{digits.width: 3}")
    ablations.QUESTIONS.write_text(lesson)
    ran, wide = [], "digits.width=3"

    def dvc(command, here, model, rev, name, out, folder, force):
        assert (command, model) == ("get", "models/digits")
        values = (
            [0.9, 0.8] if wide in next(e for e in ran if e.name == name).overrides else [0, 0.1]
        )
        folder.mkdir(parents=True)
        scores = [Score(system="a", measure="training error", values=values)]
        Result(title="", text="", scores=scores, plots=[]).write(folder)

    monkeypatch.setattr(ablations, "run_all", lambda all, *_, **__: ran.extend(all))
    monkeypatch.setattr(ablations, "dvc", dvc)
    monkeypatch.setattr(ablations, "seconds", lambda _: 3.4)
    ablations.answer([])
    assert [e.stage for e in ran] == ["lessons/dvc.yaml:digits"] * 2
    assert [e.overrides for e in ran] == [["digits.seeds=[1,2]"], [wide, "digits.seeds=[1,2]"]]
    page = ablations.PAGE.read_text()
    assert "\n\n| | training error | seconds |\n" in page and "At " not in page
    assert "| wide | 0.850 **+0.800** (+0.700…+0.900) | 3 |" in page


def test_pairs_that_a_question_changes_are_those_that_its_models_are_measured_on(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    file = ablations.Questions(**yaml.safe_load((ROOT / ablations.QUESTIONS).read_text()))
    question, got, measured = file.questions["drawing"], [], []
    assert not question.is_measured_on_pairs and file.questions["dense"].is_measured_on_pairs
    arms = {arm: all_seeds[:1] for arm, all_seeds in ablations.arms_of(file, "drawing").items()}

    def measure_models(models, px, pairs):
        measured.append(pairs)
        return {arm: {"psnr_gain": [[1.0, 2.0]]} for arm in models}, None

    monkeypatch.setattr(ablations, "_measure_models", measure_models)
    monkeypatch.setattr(ablations, "dvc", lambda *args: got.append(args))
    monkeypatch.setattr(ablations, "seconds", lambda _: 1.0)
    ablations.measure("drawing", question, arms)
    (pairs,) = [args for args in got if args[2] == ablations.PAIRS]
    assert pairs[4] == arms["correction"][0].name and measured == [pairs[6]]
