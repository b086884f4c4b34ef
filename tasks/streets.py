"""Trains a U-Net to name every pixel of street photos: data/streets -> models/streets.

    python -m tasks streets

Twice: on a pretrained encoder, and from random weights with as many steps.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.storage import Storage
from lessonpipe.nets.blocks import Norm
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import as_csv, fit
from lessons.streets import learn, report
from lessons.streets.data import Sized, Streets
from lessons.streets.nets import Segmenter
from lessons.streets.report import SYSTEMS
from tasks.pipeline import launch


class Params(StrictModel):
    """The network and its schedule; `rows` is of the comparison picture."""

    seed: int
    precision: Precision
    encoder: str
    widths: list[int] | None
    head: int | None
    blur: bool
    norm: Norm
    attention: bool
    bottleneck: bool
    train_bn: bool
    weight_decay: float = Field(ge=0)
    augment: Augment
    phases: list[Sized] = Field(min_length=1)
    random_max_lr: float = Field(gt=0)
    goal: float | None = Field(ge=0, le=1)
    rows: int = Field(ge=1)


def run(p: Params, data: Path = Path("data/streets"), out: Path = Path("models/streets")) -> None:
    """Train both networks, and leave the pretrained one, scores and plots."""
    launch.launch(teach, p, {"data": data}, out)


def network(p: Params, *, pretrained: bool) -> Segmenter:
    """Returns the network that the params describe."""
    return Segmenter(
        p.encoder,
        pretrained=pretrained,
        widths=p.widths,
        head=p.head,
        blur=p.blur,
        norm=p.norm,
        attention=p.attention,
        bottleneck=p.bottleneck,
    )


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
    net = network(p, pretrained=system == "pretrained")
    return learn.SegmenterLearner(net, p.train_bn or system == "random")


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker: one system after the other."""
    p = Params(**config["params"])
    worker = Worker.current(p.precision)
    data = Streets(Path(config["data"]), p.augment, p.seed, worker)
    nets, histories, seconds = {}, {}, {}
    for system, title in SYSTEMS.items():
        learner = untrained(p, system)
        checkpoint = Checkpoint(Storage.at(config["scratch"]) / system)
        if worker.rank == 0:
            print(title, flush=True)
        histories[system] = fit(
            learner,
            schedule(p, system),
            data,
            worker,
            weight_decay=p.weight_decay,
            seed=p.seed,
            checkpoint=checkpoint,
            report=cluster.report_metrics,
        )
        nets[system] = learner.net
        seconds[system] = (checkpoint.load() or {}).get("seconds", 0.0)
    if worker.rank == 0:
        out = Path(config["out"])
        for name, history in histories.items():
            suffix = "" if name == "pretrained" else f"_{name}"
            atomic_write(out / f"history{suffix}.csv", as_csv(history))
        report.write_result(data, nets, seconds, p.phases[-1], goal=p.goal, rows=p.rows, out=out)
