"""Trains a network to make rooms of noise, and a critic: data/bedrooms -> models/bedrooms.

python -m tasks bedrooms
"""

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import nn

from lessonpipe.config import StrictModel, TrainPhase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Precision, Worker
from lessonpipe.report.measured import keep_measured
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig
from lessons.bedrooms import data, fid, plots, report
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic, ScoreNorm
from lessons.bedrooms.wgan import Wgan, in_memory, sample_noise, samples
from tasks.pipeline.launch import TrainRun, launch


class Net(StrictModel):
    """Options of both networks: noise numbers, channels, layers more than fastai's smallest."""

    noise: int = Field(ge=1)
    features: int = Field(ge=4)
    extra_layers: int = Field(ge=0)


class Params(StrictModel):
    """The networks, what bounds the critic's slope, and the schedule.

    With `flip` half of the pictures that the critic learns from are mirrored.
    `n_samples` are evaluated, by features of `encoder` at its `layers`.
    """

    seed: int
    precision: Precision
    net: Net
    clip: float | None = Field(gt=0)
    gp_weight: float | None = Field(gt=0)
    gan: GanConfig
    flip: bool = True
    phases: list[TrainPhase] = Field(min_length=1)
    encoder: str
    layers: list[Annotated[int, Field(ge=0, le=4)]] = Field(min_length=1)
    n_samples: int = Field(ge=2)

    @model_validator(mode="after")
    def _critic_is_bounded(self) -> "Params":
        if self.clip is None and self.gp_weight is None:
            raise ValueError("clip and gp_weight are both null, so nothing bounds the critic")
        return self


def run(
    p: Params, rooms: Path = Path("data/bedrooms"), out: Path = Path("models/bedrooms")
) -> None:
    """Train, evaluate, and leave the generator, its critic, samples of every epoch, a film."""
    launch(train_worker, p, {"rooms": rooms}, out)


def load_data(p: Params, rooms: data.Rooms | None = None) -> TensorData:
    """Noise and pictures as this worker's training gets them; by default those of the stage."""
    rooms = rooms or data.load(Path("data/bedrooms"))
    worker = Worker.current(p.precision)
    return in_memory(rooms["train"], rooms["valid"], p.net.noise, p.seed, worker, flip=p.flip)


def build(p: Params, rooms: data.Rooms | None = None) -> tuple[Wgan, TensorData, Worker]:
    """Generator and critic, the data, and the worker: all that a first step needs."""
    loaded = load_data(p, rooms)
    generator, critic = networks(p, loaded.valid[1].shape[-1])
    learner = Wgan(generator, critic, p.gan, clip=p.clip, gp_weight=p.gp_weight)
    return learner, loaded, loaded.worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    rooms = data.load(run.inputs["rooms"])
    learner, batches, worker = build(p, rooms)
    noise = sample_noise(report.SHEET, p.net.noise, p.seed)

    def save_samples(epoch: int, net: nn.Module) -> None:
        sheet = as_jpeg(plots.sheet(samples(net, noise)))
        run.checkpoint.save_file(f"epoch_{epoch:03d}.jpg", sheet)

    learner.sample = save_samples
    history = fit(
        learner,
        p.phases,
        batches,
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        callback=run.callback(worker),
    )
    if worker.rank == 0:
        untrained, _ = networks(p, rooms["train"].shape[-1])
        seconds = (run.checkpoint.load() or {}).get("seconds", 0.0)
        if run.live:
            keep_measured(run.live, {"WGAN": seconds})
        report.write_result(
            report.TrainedGan(
                learner,
                worker.to_device(untrained),
                history,
                run.checkpoint.files(),
                seconds,
            ),
            rooms,
            fid.FeatureExtractor(p.encoder, p.layers, worker),
            n_samples=p.n_samples,
            seed=p.seed,
            out=run.out,
        )


def networks(p: Params, px: int) -> tuple[NoiseGenerator, ScoreCritic]:
    """Returns generator and critic, untrained, the same each time."""
    torch.manual_seed(p.seed)
    norm: ScoreNorm = "batch" if p.gp_weight is None else "none"
    return (
        NoiseGenerator(px, **p.net.model_dump()),
        ScoreCritic(px, features=p.net.features, extra_layers=p.net.extra_layers, norm=norm),
    )
