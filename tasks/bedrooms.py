"""Trains a network to make rooms of noise, and a critic: data/bedrooms -> models/bedrooms.

python -m tasks bedrooms
"""

import time
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import nn

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Precision, Worker
from lessonpipe.io.storage import Storage
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import TrainPhase
from lessonpipe.train.gan import fit_turns
from lessonpipe.train.gan_switch import FixedSwitch
from lessons.bedrooms import data, fid, plots, report
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic, ScoreNorm
from lessons.bedrooms.wgan import Wgan, in_memory, sample_noise, samples
from tasks.pipeline import launch


class Turns(StrictModel):
    """Steps of the critic, then of the generator, in turns."""

    critic: int = Field(ge=1)
    generator: int = Field(ge=1)


class Params(StrictModel):
    """The networks, what keeps the critic from growing steep, and the schedule.

    `measured` samples are evaluated, by features of `encoder` at the levels `taps`.
    """

    seed: int
    precision: Precision
    noise: int = Field(ge=1)
    features: int = Field(ge=4)
    extra: int = Field(ge=0)
    critic_times: float = Field(gt=0)
    clip: float | None = Field(gt=0)
    penalty: float | None = Field(gt=0)
    turns: Turns
    batch: int = Field(ge=2)
    pictures: int | None = Field(ge=1)
    epochs: int = Field(ge=1)
    max_lr: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    ema: float = Field(ge=0, lt=1)
    encoder: str
    taps: list[Annotated[int, Field(ge=0, le=4)]] = Field(min_length=1)
    measured: int = Field(ge=2)

    @model_validator(mode="after")
    def _critic_is_bounded(self) -> "Params":
        if self.clip is None and self.penalty is None:
            raise ValueError("clip and penalty are both null, so that nothing holds the critic")
        return self


def run(
    p: Params, rooms: Path = Path("data/bedrooms"), out: Path = Path("models/bedrooms")
) -> None:
    """Train, evaluate, and leave the generator, its critic, samples of every epoch, a film."""
    launch.launch(teach, p, {"rooms": rooms}, out)


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    rooms = data.load(Path(config["rooms"]))
    worker = Worker.current(p.precision)
    generator, critic = networks(p, rooms["train"].shape[-1])
    checkpoint = Checkpoint(Storage.at(config["scratch"]))
    noise = sample_noise(report.SHEET, p.noise, p.seed)
    start = time.perf_counter() - float(checkpoint.files().get("seconds", b"0"))

    def save_samples(epoch: int, net: nn.Module) -> None:
        sheet = as_jpeg(plots.sheet(samples(net, noise)))
        checkpoint.save_file(f"epoch_{epoch:03d}.jpg", sheet)
        checkpoint.save_file("seconds", str(time.perf_counter() - start).encode())

    history = fit_turns(
        Wgan(generator, critic, p.clip, p.penalty),
        TrainPhase(batch=p.batch, epochs=p.epochs, max_lr=p.max_lr, pictures=p.pictures),
        in_memory(rooms["train"], rooms["valid"], p.noise, p.seed, worker),
        worker,
        critic_times=p.critic_times,
        momentum=p.momentum,
        weight_decay=0,
        switch=FixedSwitch(p.turns.critic, p.turns.generator),
        switch_eval=False,
        ema=p.ema,
        seed=p.seed,
        checkpoint=checkpoint,
        eps=1e-8,  # v1's: gradients through a clipped critic are of 1e-5
        after_epoch=save_samples,
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        untrained, _ = networks(p, rooms["train"].shape[-1])
        gan = report.TrainedGan(
            generator, critic, worker.to_device(untrained), history, checkpoint.files()
        )
        report.write_result(
            gan,
            rooms,
            fid.FeatureExtractor(p.encoder, p.taps, worker),
            n_samples=p.measured,
            seed=p.seed,
            out=Path(config["out"]),
        )


def networks(p: Params, px: int) -> tuple[NoiseGenerator, ScoreCritic]:
    """Returns generator and critic, untrained, the same each time."""
    torch.manual_seed(p.seed)
    norm: ScoreNorm = "batch" if p.penalty is None else "none"
    return (
        NoiseGenerator(px, noise=p.noise, features=p.features, extra=p.extra),
        ScoreCritic(px, features=p.features, extra=p.extra, norm=norm),
    )
