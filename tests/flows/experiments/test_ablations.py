"""A question is answered by real DVC experiments, once; `--again` runs them anew."""

import json
from pathlib import Path

import pytest
import yaml

from flows.experiments.queue import ablations
from lessonpipe.errors import UserError
from tasks import evaluate, fit_feature, fit_gan, pretrain_critic, pretrain_generator
from tasks.pipeline.dvc_files import with_cure
from tests.conftest import ROOT

STAGES = {
    module.__name__.removeprefix("tasks."): module
    for module in (pretrain_generator, pretrain_critic, fit_gan, fit_feature, evaluate)
}
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
print("pretrain_critic: done in 7 s")
"""
ASKED = """
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
    asked = ablations.Questions(**yaml.safe_load((ROOT / ablations.QUESTIONS).read_text()))
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert len(asked.questions) >= 16
    for question in asked.questions.values():
        assert question.stage in STAGES
        for sets in question.arms.values():
            params = json.loads(json.dumps(whole))
            for key, value in {**asked.common, **sets}.items():
                *way, last = key.split(".")
                section = params
                for part in way:
                    section = section[int(part) if part.isdigit() else part]
                assert last in section, key
                section[last] = value
            for name, module in STAGES.items():
                module.Params(seed=1, precision="auto", **params[name])


def test_an_unknown_question_is_answered_with_the_right_ones(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="residual"):
        ablations.answer(["residuals"])


def test_without_pairs_to_measure_on_it_complains_before_it_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("flows").mkdir()
    ablations.QUESTIONS.write_text(ASKED.replace("stage: pretrain_critic", "stage: fit_gan"))
    monkeypatch.setattr(ablations, "run_all", lambda *_, **__: pytest.fail("it trained"))
    with pytest.raises(UserError, match="run `dvc repro crappify` first"), with_cure():
        ablations.answer([])


def test_again_forgets_the_named_answer_and_no_other_and_runs_it_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("flows").mkdir()
    asked = yaml.safe_load(ASKED)
    asked["questions"]["depth"] = asked["questions"]["width"] | {"asks": "Deep?"}
    ablations.QUESTIONS.write_text(yaml.safe_dump(asked))
    old = {"experiments": "old", "seconds": {}, "values": {}}
    ablations.RAW.parent.mkdir()
    ablations.RAW.write_text(json.dumps({"depth": old, "width": old}))
    forgotten, ran = [], []

    def run_all(experiments, side_by_side, *, anew):
        assert json.loads(ablations.RAW.read_text()) == {
            "depth": old
        }  # broken off here, it goes on
        ran.extend(one.name for one in experiments)
        assert anew

    monkeypatch.setattr(ablations, "forget", lambda all: forgotten.extend(one.name for one in all))
    monkeypatch.setattr(ablations, "run_all", run_all)
    monkeypatch.setattr(ablations, "measure", lambda *_: {"seconds": {}, "values": {}})
    assert ablations.answer(["width"], again=True) == 0
    found = json.loads(ablations.RAW.read_text())
    assert found["depth"] == old
    told = [name for arm in found["width"]["experiments"].values() for name in arm]
    assert told == ran == forgotten and len(set(told)) == 4
    assert "flows choices width --again`" in ablations.PAGE.read_text()


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
            "flows/experiments/ablations.yaml": ASKED,
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

    assert ablations.answer([], side_by_side=2) == 0
    found = json.loads(ablations.RAW.read_text())["width"]
    assert found["values"]["128"]["wide"]["accuracy"] == [
        [pytest.approx(0.804)],
        [pytest.approx(0.808)],
    ]
    assert found["seconds"] == {"narrow": [7, 7], "wide": [7, 7]}
    page = ablations.PAGE.read_text()
    assert "| wide | 0.806 **+0.200** (+0.200…+0.200) | 7 |" in page
    assert Path("params.yaml").read_text() == params  # the workspace is left alone

    capsys.readouterr()
    assert ablations.answer(["width"]) == 0
    assert "answered already" in capsys.readouterr().out
    assert len(tally.read_text()) == 4

    assert ablations.answer(["width"], again=True) == 0
    assert json.loads(ablations.RAW.read_text())["width"] == found
    assert len(tally.read_text()) == 8  # not what DVC's cache remembers
