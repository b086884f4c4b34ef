"""A training's curves are there while it runs, go on after a kill, and change nothing."""

import csv
import json
import subprocess

import pytest
import torch
import yaml
from dvclive.plots import Metric
from safetensors.torch import load_file, save_file
from torch import nn

from lessonpipe import cluster
from lessonpipe.config import TrainPhase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.io.storage import Storage
from lessonpipe.losses import PixelLoss
from lessonpipe.nets import Critic, CriticConfig
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.learner import SupervisedLearner
from tasks.pipeline import launch, live
from tasks.pipeline.live import LiveCurves
from tests.conftest import ROOT
from tests.forked import fork_stage
from tests.small import CPU, Batches, generator, unet_config

dump = Metric.dump
PHASES = [TrainPhase(batch=8, epochs=2, max_lr=0.1), TrainPhase(batch=4, epochs=1, max_lr=0.1)]
EPOCHS = [range(1, 6), range(6, 11), range(11, 21)]  # their steps: 40 samples, by 8 and by 4


class Line(SupervisedLearner):
    """Fits a straight line by two terms, and records every loss; `dies_at` is a step."""

    def __init__(self, dies_at=None):
        torch.manual_seed(0)
        super().__init__(nn.Linear(1, 1))
        self.losses, self.dies_at = [], dies_at

    def loss_terms(self, x, y):
        error = self.net(x) - y
        terms = {"square": error.square().mean(), "absolute": error.abs().mean()}
        if self.net.training:
            self.losses.append(float(sum(terms.values()).detach()))
            if len(self.losses) == self.dies_at:
                raise KeyboardInterrupt
        return terms

    def validation_step(self, x, y):
        return self.loss_terms(x, y), {"slope": self.net.weight.detach().mean()}


class Dies(LiveCurves):
    """Dies in the hook of a name, after what it does there, at the third epoch."""

    def __init__(self, hook, *args):
        super().__init__(*args)
        self.epochs, self.hook = 0, hook

    def on_validation_end(self, row):
        super().on_validation_end(row)
        self.epochs += 1
        self._die("on_validation_end")

    def on_epoch_end(self, row):
        self._die("on_epoch_end")

    def _die(self, hook):
        if self.epochs == 2 and self.hook == hook:
            raise KeyboardInterrupt


def fitted(learner, callback, folder=None):
    x = torch.linspace(-1, 1, 40)[:, None]
    data = TensorData((x, 3 * x), (x, 3 * x), 1, CPU)
    checkpoint = Checkpoint(None if folder is None else Storage.at(folder))
    return fit(learner, PHASES, data, CPU, seed=1, checkpoint=checkpoint, callback=callback)


def curve(folder, name):
    """A curve's points, by step."""
    with open(folder / f"plots/metrics/{name}.tsv", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(set(steps)), "a step is there twice"
    return {step: float(row[name.split("/")[1]]) for step, row in zip(steps, rows, strict=True)}


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(live, "SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "live/line"


@pytest.mark.usefixtures("every_step")
def test_the_points_are_the_losses_of_the_steps_and_their_means_those_of_the_history(folder):
    learner = Line()
    history = fitted(learner, LiveCurves(folder, "run"))
    loss = curve(folder, "train/loss")
    assert list(loss) == list(range(1, 21))
    assert list(loss.values()) == pytest.approx(learner.losses, rel=1e-5)
    for row, steps in zip(history, EPOCHS, strict=True):
        mean = sum(loss[step] for step in steps) / len(steps)
        assert mean == pytest.approx(row["train_loss"], rel=1e-6)
    square, absolute = curve(folder, "train/square"), curve(folder, "train/absolute")
    assert [square[s] + absolute[s] for s in loss] == pytest.approx(list(loss.values()))
    ends = [steps[-1] for steps in EPOCHS]
    for name in ("loss", "slope"):
        expected = {end: row[f"valid_{name}"] for end, row in zip(ends, history, strict=True)}
        assert curve(folder, f"valid/{name}") == pytest.approx(expected)


def test_between_two_points_lies_a_second_and_no_step_is_left_out(folder, monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr(live, "SECONDS", 6.0)
    monkeypatch.setattr(live.time, "monotonic", lambda: next(now))
    history = fitted(Line(), LiveCurves(folder, "run"))
    loss, last = curve(folder, "train/loss"), 0
    assert len(loss) < 12
    sums = [0.0] * len(EPOCHS)
    for step, value in loss.items():  # a point is the mean of the steps since the one before
        (epoch,) = (i for i, steps in enumerate(EPOCHS) if last + 1 in steps)
        assert step in EPOCHS[epoch]
        sums[epoch] += value * (step - last)
        last = step
    assert last == 20
    means = [total / len(steps) for total, steps in zip(sums, EPOCHS, strict=True)]
    assert means == pytest.approx([row["train_loss"] for row in history], rel=1e-6)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("where", ["on_validation_end", "on_epoch_end", "step 8", "step 15"])
def test_a_resumed_training_goes_on_with_the_same_curves(folder, tmp_path, where):
    fitted(Line(), LiveCurves(tmp_path / "whole", "run"))
    if where.startswith("step"):
        learner, callback = Line(dies_at=int(where.split()[1])), LiveCurves(folder, "run")
    else:
        learner, callback = Line(), Dies(where, folder, "run")
    with pytest.raises(KeyboardInterrupt):
        fitted(learner, callback, tmp_path / "scratch")
    with open(folder / "plots/metrics/train/loss.tsv", "a") as stream:
        stream.write("1")  # of a row that was being written
    (folder / "metrics.json").write_text("{")
    fitted(Line(), LiveCurves(folder, "run"), tmp_path / "scratch")
    files = [p.relative_to(folder) for p in folder.rglob("*.tsv")]
    assert len(files) == 7
    assert {p: (folder / p).read_text() for p in files} == {
        p: (tmp_path / "whole" / p).read_text() for p in files
    }


@pytest.mark.usefixtures("every_step")
def test_another_runs_curves_are_not_gone_on_with(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fitted(Line(), Dies("on_epoch_end", folder, "run"), tmp_path / "scratch")
    fitted(Line(), LiveCurves(folder, "other"))
    fitted(Line(), LiveCurves(folder, "run"), tmp_path / "scratch")
    assert list(curve(folder, "train/loss")) == list(EPOCHS[2])


@pytest.mark.usefixtures("every_step")
def test_each_network_of_a_gan_has_points_at_its_own_steps(folder):
    torch.manual_seed(0)
    x, y = torch.rand(2, 2, 3, 64, 64)
    critic = CriticConfig(kind="encoder", encoder="test_efficientnet", depth=2, width=8)
    switch = {"kind": "fixed", "critic": 2, "generator": 1}
    config = GanConfig(optim={"beta1": 0}, switch=switch)
    learner = PairGanLearner(
        generator(), Critic(critic, pretrained=False), config, loss=PixelLoss("mse", (0.5,) * 3)
    )
    phase = TrainPhase(batch=2, epochs=1, max_lr=1e-4, frozen=True)
    callback = LiveCurves(folder, "run")
    data = Batches([(x, y)] * 6)
    checkpoint = Checkpoint(None)
    (row,) = fit(learner, [phase], data, CPU, seed=0, checkpoint=checkpoint, callback=callback)
    points = {turn: curve(folder, f"train/{turn}_loss") for turn in ("critic", "generator")}
    assert {turn: len(found) for turn, found in points.items()} == {"critic": 4, "generator": 2}
    for turn, found in points.items():
        assert sum(found.values()) / len(found) == pytest.approx(row[f"train_{turn}_loss"])
    assert not (folder / "plots/metrics/train/loss.tsv").exists()


@pytest.mark.usefixtures("every_step")
def test_watched_or_not_the_weights_are_the_same_bytes(folder, tmp_path):
    saved = []
    for callback in (None, LiveCurves(folder, "run")):
        learner = Line()
        history = fitted(learner, callback)
        save_file(learner.net.state_dict(), path := tmp_path / "model.safetensors")
        saved.append((path.read_bytes(), history))
    assert load_file(path)["weight"].item() > 0.5  # it learnt
    assert saved[0] == saved[1]


def test_a_folder_that_cannot_be_made_is_told_once_and_the_training_goes_on(folder, capsys):
    folder.parent.mkdir()
    folder.write_text("in the way")
    assert len(fitted(Line(), LiveCurves(folder, "run"))) == 3
    assert capsys.readouterr().out.count(f"no more curves in {folder}: ") == 1


@pytest.mark.usefixtures("every_step")
def test_a_disk_that_fills_up_is_told_once_and_the_training_goes_on(folder, capsys, monkeypatch):
    def full(self, value, **_):
        if self.step > 7:
            raise OSError(28, "No space left on device")
        dump(self, value)

    monkeypatch.setattr(Metric, "dump", full)
    assert len(fitted(Line(), LiveCurves(folder, "run"))) == 3
    out = capsys.readouterr().out
    assert out.count("no more curves") == out.count("No space left on device") == 1
    assert list(curve(folder, "train/loss")) == list(range(1, 8))


def shown(repo):
    """The points that `dvc plots show` draws in each plot, and the errors that it tells."""
    words = ["dvc", "plots", "show", "--json"]
    done = subprocess.run(words, cwd=repo, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    values = {
        name: [v for plot in plots for v in plot["content"]["data"]["values"]]
        for name, plots in answer["data"].items()
    }
    return values, {error["type"] for error in answer.get("errors", [])}


@pytest.mark.usefixtures("every_step")
def test_dvc_shows_the_curves_while_it_trains_and_does_without_them(tmp_path):
    """In a repository with the project's own plots, and none of their files."""
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    for words in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(words, cwd=tmp_path, check=True)
    before, errors = shown(tmp_path)
    names = {name for plot in plots if isinstance(plot, dict) for name in plot}
    assert names == {name for name in before if "/" not in name} and len(names) == 10
    assert not any(before.values()) and errors == {"FileNotFoundError"}
    found = []

    class Looks(LiveCurves):
        def on_epoch_end(self, row):
            if row["epoch"] == 2:
                found.append(shown(tmp_path)[0]["pretrain_generator_live"])

    history = fitted(Line(), Looks(tmp_path / "live/pretrain_generator", "run"))
    (points,) = found
    train = [float(p["loss"]) for p in points if p["filename"].endswith("train/loss.tsv")]
    valid = {int(p["step"]): float(p["loss"]) for p in points if "valid" in p["filename"]}
    assert len(train) == 10
    assert valid == pytest.approx({5: history[0]["valid_loss"], 10: history[1]["valid_loss"]})
    assert "refresh" in (tmp_path / "live/pretrain_generator/report.html").read_text()


def test_the_project_names_every_training_stages_curves_and_git_ignores_them():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    trained = {name for name in graph["stages"] if name.startswith(("pretrain_", "fit_"))}
    plots = {name for plot in graph["plots"] if isinstance(plot, dict) for name in plot}
    assert {f"{name}_live" for name in trained} == {name for name in plots if "_live" in name}
    words = ["git", "check-ignore", "-q", str(launch.LIVE / "fit_gan/report.html")]
    assert subprocess.run(words, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("address", ["head:6379", None])
def test_on_a_cluster_whose_workers_see_other_disks_no_curve_is_written(
    tmp_path, monkeypatch, address
):
    runs = []

    def run_training(worker, run, name):
        runs.append(run)
        (run.out / "model.json").write_text("{}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", address or "")
    monkeypatch.setattr(cluster, "run_training", run_training)
    launch.launch(print, PHASES[0], {}, tmp_path / "models/line")
    assert runs[0].live == (None if address else tmp_path / "live/line")
    monkeypatch.setattr(cluster, "report_metrics", lambda row: None)  # to Ray, which does not run
    callback = runs[0].callback(CPU)
    assert len(fitted(Line(), callback)) == 3
    assert (tmp_path / "live").exists() == (address is None)


@pytest.mark.slow
def test_a_stage_leaves_the_same_bytes_with_its_curves_and_without(tmp_path, pairs):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
        "phases": [{"image_px": 64, "batch": 4, "max_lr": 1e-3, "epochs": 2}],
    }
    made = []
    for name in ("with", "without"):
        project = tmp_path / name
        (project / "data").mkdir(parents=True)
        (project / "data/crappify").symlink_to(pairs)
        (project / "params.yaml").write_text(yaml.safe_dump(params))
        if name == "without":
            (project / "live").write_text("in the way")
        output = fork_stage("pretrain_generator", project).finish()
        assert ("no more curves" in output) == (name == "without")
        model = project / "models/pretrain_generator"
        made.append([(model / file).read_bytes() for file in ("model.safetensors", "history.csv")])
    assert made[0] == made[1]
    assert max(curve(tmp_path / "with/live/pretrain_generator", "train/loss")) == 2 * 5
