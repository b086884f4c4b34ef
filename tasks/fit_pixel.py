"""Train on by pixels at growing sizes: models/pretrain_generator -> models/fit_pixel.

python -m tasks fit_pixel
"""

from pathlib import Path

import torch
from pydantic import Field

from lessonpipe.config import Phase, StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairData
from lessonpipe.device import Precision, Worker
from lessonpipe.losses import (
    DamageLoss,
    DamageLossConfig,
    FeatureLossConfig,
    PixelKind,
    PixelLoss,
    image_loss,
)
from lessonpipe.nets.io import load_generator, save_model
from lessonpipe.train.fit import fit, last_row
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.schedule import AdamWConfig
from tasks.pipeline.launch import TrainRun, launch


class Params(StrictModel):
    """The loss (with `feature`, features beside pixels), and the phases of progressive resize."""

    seed: int
    precision: Precision
    pixel: PixelKind
    pixel_weight: float = Field(ge=0)
    damage: DamageLossConfig | None = None
    feature: FeatureLossConfig | None = None
    optim: AdamWConfig
    train_bn: bool
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    out: Path = Path("models/fit_pixel"),
) -> None:
    """Train and save; every term of the loss is a column of `history.csv`."""
    launch(train_worker, p, {"pairs": pairs, "generator": generator}, out)


def load_data(p: Params, pairs: Path = Path("data/crappify")) -> PairData:
    """The pairs as this worker's training gets them."""
    return PairData(pairs, p.augment, p.seed, Worker.current(p.precision))


def build(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network with its loss, the data, and the worker: all that a first step needs."""
    data = load_data(p, pairs)
    worker = data.worker
    torch.manual_seed(p.seed)
    net = load_generator(generator)
    loss = worker.to_device(image_loss(p.feature, p.pixel, net.encoder.std, p.pixel_weight))
    learner = GeneratorLearner(net, p.optim, loss=loss, train_bn=p.train_bn)
    if p.damage:
        damage_loss = DamageLoss(p.damage, PixelLoss(p.pixel, net.encoder.std))
        learner.damage_loss = worker.to_device(damage_loss)
    return learner, data, worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    learner, data, worker = build(p, run.inputs["pairs"], run.inputs["generator"])
    history = fit(
        learner,
        p.phases,
        data,
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        callback=run.callback(worker),
    )
    if worker.rank == 0:
        about = {"stage": run.stage, "image_px": p.phases[-1].image_px, **last_row(history)}
        save_model(run.out, learner.net, about)
        run.save_history(history)
