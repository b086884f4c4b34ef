"""Trains networks to read digits, with several seeds: data/digits -> models/digits.

python -m tasks digits
"""

from functools import partial
from pathlib import Path
from typing import Any

from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.report.measured import keep_measured
from lessonpipe.train.fit import as_csv, last_row
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits import data, learn, report
from lessons.digits.nets import DigitNet, DigitNetConfig
from lessons.digits.runs import Run, Surface, SurfaceJob
from lessons.sweep import Job, SweepParams, job_name, jobs, longest_first, seconds_of
from tasks.pipeline import launch


class Params(SweepParams[Run]):
    """The networks, the seeds each is trained with, and the loss surface that is plotted."""

    surface: Surface


def run(p: Params, digits: Path = Path("data/digits"), out: Path = Path("models/digits")) -> None:
    """Train all, and leave the best network, scores and plots."""
    loaded = data.load(digits)
    train = partial(train_one, digits=loaded, optim=p.optim)
    trainings = longest_first({**p.surface.jobs(p.seeds[0]), **jobs(p.runs, p.seeds)})
    inputs = {"digits": digits}
    with (
        launch.map_trainings(train, trainings, p, inputs.values(), out.name) as results,
        atomic_folder(out, fsync=True) as draft,
    ):
        best = max(p.runs, key=lambda run: results[job_name(run, p.seeds[0])]["accuracy"])
        result = results[job_name(best, p.seeds[0])]
        net = DigitNet(DigitNetConfig(**result["build"]))
        net.load_state_dict(result["net"])
        about = {"stage": "digits", "system": best.system, "accuracy": result["accuracy"]}
        write_model(draft, net, "digits", net.config, about)
        atomic_write(draft / "history.csv", as_csv(result["history"]))
        report.write_result(p, p.surface, results, loaded, net, draft)
        lineage.stamp(draft, p.model_dump(mode="json"), inputs)
        keep_measured(launch.LIVE / out.name, seconds_of(results))


def build(
    p: Params, run: Run, digits: Path = Path("data/digits")
) -> tuple[learn.Classifier, TensorData, Worker]:
    """A network by its first seed, the data, and the worker: all that a first step needs."""
    return build_run(run, chosen(run, data.load(digits), p.seed), p.optim, p.seed)


def chosen(run: Run, digits: data.Digits, seed: int) -> data.Digits:
    """The digits that a network learns from: all, or those that its seed chooses."""
    return learn.some_of(digits, run.samples, seed) if run.samples else digits


def build_run(
    run: Run, digits: data.Digits, optim: AdamWConfig, seed: int, *, blocks: int = 1
) -> tuple[learn.Classifier, TensorData, Worker]:
    """The network of a run, with `blocks` behind each convolution, the data, and the worker."""
    config = DigitNetConfig(kind=run.net, blocks=blocks, width=run.width, layers=run.layers)
    return learn.build(config, digits, run, optim, ema=run.ema, seed=seed)


def train_one(job: Job[Run], digits: data.Digits, optim: AdamWConfig) -> dict[str, Any]:
    """Returns history, weights, accuracy and seconds of a training, or a loss surface.

    Of a training on some digits also the error on those.
    """
    blocks = job.surface.blocks if isinstance(job, SurfaceJob) else 1
    digits = chosen(job.run, digits, job.seed)
    learner, batches, worker = build_run(job.run, digits, optim, job.seed, blocks=blocks)
    history, seconds = learn.train_network(learner, batches, worker, job.run, seed=job.seed)
    net = learner.net
    if isinstance(job, SurfaceJob):
        at = job.surface
        x, y = (digits[f"train_{part}"][: at.samples] for part in "xy")
        losses = learn.surface(net, x, y, points=at.points, extent=at.extent, seed=job.seed)
        return {"surface": losses}
    result = {
        "history": history,
        "net": net.state_dict(),
        "build": net.config.model_dump(),
        "accuracy": last_row(history).get("valid_accuracy", 0.0),
        "seconds": seconds,
    }
    return result | ({"error": learn.training_error(net, digits)} if job.run.samples else {})
