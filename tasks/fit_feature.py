"""Train on with feature loss, at growing sizes: models/pretrain_generator -> models/fit_feature.

python -m tasks fit_feature
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import nn

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.storage import Storage
from lessonpipe.losses import FeatureLoss, PixelLoss
from lessonpipe.losses.pixel import PixelKind
from lessonpipe.nets.io import load_generator, save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Phase, as_csv, fit, last_row
from lessonpipe.train.generator import GeneratorLearner, PairData
from tasks.pipeline import launch


class Feature(StrictModel):
    """The network that looks, where it is tapped (0 at half size), and each tap's weight."""

    encoder: str
    pretrained: bool
    taps: list[int] = Field(min_length=1)
    weights: list[float]
    gram_weight: float = Field(ge=0)
    gram_taps: list[int] | None
    unit: bool

    @model_validator(mode="after")
    def _as_many(self) -> "Feature":
        if len(self.taps) != len(self.weights):
            raise ValueError(f"{len(self.taps)} taps need as many weights, not {self.weights}")
        if more := set(self.gram_taps or []) - set(self.taps):
            raise ValueError(f"gram_taps {sorted(more)} are none of the taps {self.taps}")
        return self


class Params(StrictModel):
    """The loss, and the steps of progressive resize."""

    seed: int
    precision: Precision
    pixel: PixelKind
    pixel_weight: float = Field(ge=0)
    feature: Feature | None
    weight_decay: float = Field(ge=0)
    train_bn: bool
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    out: Path = Path("models/fit_feature"),
) -> None:
    """Train and save; every term of the loss is a column of `history.csv`."""
    launch.launch(teach, p, {"pairs": pairs, "generator": generator}, out)


def feature_loss(
    p: Feature | None, pixel: PixelKind, std: tuple[float, ...], *, weight: float
) -> nn.Module:
    """The pixel loss, and what `p` adds to it."""
    by_pixels = PixelLoss(pixel, std, weight)
    if p is None:
        return by_pixels
    return FeatureLoss(
        p.encoder,
        pixel=by_pixels,
        taps=p.taps,
        weights=p.weights,
        gram_weight=p.gram_weight,
        gram_taps=p.gram_taps,
        unit=p.unit,
        pretrained=p.pretrained,
    )


def ready(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network and its loss, the data, and where: all that a first step needs."""
    worker = Worker.current(p.precision)
    torch.manual_seed(p.seed)
    net = load_generator(generator)
    loss = feature_loss(p.feature, p.pixel, net.encoder.std, weight=p.pixel_weight)
    learner = GeneratorLearner(net, worker.to_device(loss), p.train_bn)
    return learner, PairData(pairs, p.augment, p.seed, worker), worker


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    learner, data, worker = ready(p, Path(config["pairs"]), Path(config["generator"]))
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
        stage = out.name.strip(".").removesuffix(".draft")
        about = {"stage": stage, "image_px": p.phases[-1].image_px, **last_row(history)}
        save_model(out, learner.net, about)
        atomic_write(out / "history.csv", as_csv(history))
