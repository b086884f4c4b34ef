"""Train a U-Net by pixels to undo the recipe: data/crappify -> models/pretrain_generator.

python -m tasks pretrain_generator
"""

from pathlib import Path

import torch
from pydantic import Field

from lessonpipe import cluster
from lessonpipe.config import Phase, StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairData
from lessonpipe.device import Precision, Worker
from lessonpipe.losses import PixelKind, PixelLoss
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.nets.io import save_model
from lessonpipe.train.fit import fit, last_row
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.schedule import AdamWConfig
from tasks.pipeline.launch import TrainRun, launch


class Params(StrictModel):
    """The network, its loss, and its schedule."""

    seed: int
    precision: Precision
    net: UnetConfig
    pretrained: bool
    loss: PixelKind
    optim: AdamWConfig
    train_bn: bool
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    out: Path = Path("models/pretrain_generator"),
) -> None:
    """Train and save. The model folder also holds `history.csv`, a row an epoch."""
    launch(train_worker, p, {"pairs": pairs}, out)


def build(
    p: Params, pairs: Path = Path("data/crappify")
) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network with its loss, the data, and the worker: all that a first step needs."""
    worker = Worker.current(p.precision)
    torch.manual_seed(p.seed)
    net = Generator(p.net, pretrained=p.pretrained)
    loss = worker.to_device(PixelLoss(p.loss, net.encoder.std))
    learner = GeneratorLearner(net, p.optim, loss=loss, train_bn=p.train_bn)
    return learner, PairData(pairs, p.augment, p.seed, worker), worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    learner, data, worker = build(p, run.inputs["pairs"])
    history = fit(
        learner,
        p.phases,
        data,
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        save_model(run.out, learner.net, {"stage": run.stage, **last_row(history)})
        run.save_history(history)
