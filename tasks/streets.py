"""Trains a U-Net to name every pixel of street photos: data/streets -> models/streets.

    python -m tasks streets

Twice: on a pretrained encoder, and from random weights with as many steps.
"""

from pathlib import Path

import torch
from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.device import Precision, Worker
from lessonpipe.nets import UnetConfig
from lessonpipe.report.measured import keep_measured
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.schedule import AdamWConfig
from lessons.streets import learn, report
from lessons.streets.data import Sized, Streets
from lessons.streets.nets import Segmenter
from lessons.streets.report import SYSTEMS
from tasks.pipeline.launch import TrainRun, launch


class Params(StrictModel):
    """The network and its schedule; `rows` is of the comparison picture."""

    seed: int
    precision: Precision
    net: UnetConfig
    train_bn: bool
    optim: AdamWConfig
    augment: Augment
    phases: list[Sized] = Field(min_length=1)
    random_max_lr: float = Field(gt=0)
    goal: float | None = Field(ge=0, le=1)
    rows: int = Field(ge=1)


def run(p: Params, data: Path = Path("data/streets"), out: Path = Path("models/streets")) -> None:
    """Train both networks, and leave the pretrained one, scores and plots."""
    launch(train_worker, p, {"data": data}, out)


def schedule(p: Params, system: str) -> list[Sized]:
    """Returns the phases; from random weights as many steps, with nothing frozen."""
    if system == "pretrained":
        return p.phases
    return [
        phase.model_copy(update={"frozen": False, "max_lr": p.random_max_lr}) for phase in p.phases
    ]


def untrained(p: Params, system: str) -> learn.SegmenterLearner:
    """Returns a new network to train, the same each time.

    Batch norms train with random weights, whatever the params say: they have no statistics yet.
    """
    torch.manual_seed(p.seed)
    net = Segmenter(p.net, pretrained=system == "pretrained")
    return learn.SegmenterLearner(net, p.optim, train_bn=p.train_bn or system == "random")


def load_data(p: Params, data: Path = Path("data/streets")) -> Streets:
    """The photos and their classes as this worker's training gets them."""
    return Streets(data, p.augment, p.seed, Worker.current(p.precision))


def build(
    p: Params, data: Path = Path("data/streets")
) -> tuple[learn.SegmenterLearner, Streets, Worker]:
    """The pretrained network, the data, and the worker: all that a first step needs."""
    streets = load_data(p, data)
    return untrained(p, "pretrained"), streets, streets.worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker: one system after the other."""
    p = run.params
    data = load_data(p, run.inputs["data"])
    worker = data.worker
    nets, histories, seconds = {}, {}, {}
    for system, title in SYSTEMS.items():
        learner = untrained(p, system)
        checkpoint = Checkpoint(run.scratch / system)
        if worker.rank == 0:
            print(title, flush=True)
        histories[system] = fit(
            learner,
            schedule(p, system),
            data,
            worker,
            seed=p.seed,
            checkpoint=checkpoint,
            callback=run.callback(worker, system),
        )
        nets[system] = learner.net
        seconds[system] = (checkpoint.load() or {}).get("seconds", 0.0)
    if worker.rank == 0:
        if run.live:
            keep_measured(run.live, seconds)
        for system, history in histories.items():
            suffix = "" if system == "pretrained" else f"_{system}"
            run.save_history(history, f"history{suffix}.csv")
        report.write_result(
            data, nets, seconds, p.phases[-1], goal=p.goal, rows=p.rows, out=run.out
        )
