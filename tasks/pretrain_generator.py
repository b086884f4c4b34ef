"""Teach a U-Net by pixels to undo the recipe: data/crappify -> models/pretrain_generator.

python -m tasks pretrain_generator
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
from lessonpipe.losses import PixelLoss
from lessonpipe.losses.pixel import PixelKind
from lessonpipe.nets import Generator
from lessonpipe.nets.blocks import Norm
from lessonpipe.nets.io import save_model
from lessonpipe.nets.unet import Concat, Output
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Phase, as_csv, fit, last_row
from lessonpipe.train.generator import GeneratorLearner, PairData
from tasks.pipeline import launch


class Params(StrictModel):
    """The network, its loss, and its schedule."""

    seed: int
    precision: Precision
    encoder: str
    pretrained: bool
    widths: list[int] | None
    head: int | None
    blur: bool
    norm: Norm
    icnr: bool
    attention: bool
    residual: bool
    join: Concat
    bottleneck: bool
    output: Output
    y_range: tuple[float, float]
    loss: PixelKind
    weight_decay: float = Field(ge=0)
    train_bn: bool
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    out: Path = Path("models/pretrain_generator"),
) -> None:
    """Train and save. The model folder also holds `history.csv`, a row an epoch."""
    launch.launch(teach, p, {"pairs": pairs}, out)


def ready(
    p: Params, pairs: Path = Path("data/crappify")
) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network and its loss, the data, and where: all that a first step needs."""
    worker = Worker.current(p.precision)
    torch.manual_seed(p.seed)
    net = Generator(
        p.encoder,
        pretrained=p.pretrained,
        widths=p.widths,
        head=p.head,
        blur=p.blur,
        norm=p.norm,
        icnr=p.icnr,
        attention=p.attention,
        residual=p.residual,
        join=p.join,
        bottleneck=p.bottleneck,
        output=p.output,
        y_range=p.y_range,
    )
    learner = GeneratorLearner(
        net, worker.to_device(PixelLoss(p.loss, net.encoder.std)), p.train_bn
    )
    return learner, PairData(pairs, p.augment, p.seed, worker), worker


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    learner, data, worker = ready(p, Path(config["pairs"]))
    history = fit(
        learner,
        p.phases,
        data,
        worker,
        weight_decay=p.weight_decay,
        seed=p.seed,
        checkpoint=Checkpoint(Storage.at(config["scratch"])),
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        out = Path(config["out"])
        save_model(out, learner.net, {"stage": "pretrain_generator", **last_row(history)})
        atomic_write(out / "history.csv", as_csv(history))
