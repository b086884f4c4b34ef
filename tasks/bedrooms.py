"""Teach a network to make rooms of noise, and a critic: data/bedrooms -> models/bedrooms.

python -m tasks bedrooms
"""

import io
from pathlib import Path
from typing import Annotated

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn

from lessonpipe import cluster
from lessonpipe.config import StrictModel, TrainPhase
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.train.fit import History, as_csv, fit
from lessonpipe.train.gan import GanConfig
from lessons.bedrooms import data, fid, plots
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic, ScoreNorm
from lessons.bedrooms.wgan import Wgan, in_memory, sample_noise, samples
from lessons.result import LessonResult, Plot, Score
from tasks.pipeline.launch import TrainRun, launch

SHEET = 64  # samples on a sheet
TEXT = (
    "A generator that gets nothing but noise, and a critic whose scores tell it how far what it "
    "makes is from photos. Early features know colours, edges and textures, late ones things: a "
    "small distance at the first alone is of samples that have the photos' colours and surfaces, "
    "and no furniture."
)


class Net(StrictModel):
    """Options of both networks: noise numbers, channels, layers more than fastai's smallest."""

    noise: int = Field(ge=1)
    features: int = Field(ge=4)
    extra_layers: int = Field(ge=0)


class Params(StrictModel):
    """The networks, how the critic is held, and the schedule."""

    seed: int
    precision: Precision
    net: Net
    clip: float | None = Field(gt=0)
    gp_weight: float | None = Field(gt=0)
    gan: GanConfig
    phases: list[TrainPhase] = Field(min_length=1)
    encoder: str
    layers: list[Annotated[int, Field(ge=0, le=4)]] = Field(min_length=1)
    n_samples: int = Field(ge=2)

    @model_validator(mode="after")
    def _held(self) -> "Params":
        if self.clip is None and self.gp_weight is None:
            raise ValueError("clip and gp_weight are both null, so nothing bounds the critic")
        return self


def run(
    p: Params, rooms: Path = Path("data/bedrooms"), out: Path = Path("models/bedrooms")
) -> None:
    """Train, measure, and leave the generator, its critic, samples of every epoch, a film."""
    launch(train_worker, p, {"rooms": rooms}, out)


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    rooms = data.load(run.inputs["rooms"])
    worker = Worker.current(p.precision)
    generator, critic = networks(p, rooms["train"].shape[-1])
    noise = sample_noise(SHEET, p.net.noise, p.seed)

    def save_samples(epoch: int, net: nn.Module) -> None:
        sheet = as_jpeg(plots.sheet(samples(net, noise)))
        run.checkpoint.save_file(f"epoch_{epoch:03d}.jpg", sheet)

    learner = Wgan(generator, critic, p.gan, save_samples, clip=p.clip, gp_weight=p.gp_weight)
    history = fit(
        learner,
        p.phases,
        in_memory(rooms["train"], rooms["valid"], p.net.noise, p.seed, worker),
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        seconds = (run.checkpoint.load() or {}).get("seconds", 0.0)
        sheets = run.checkpoint.files()
        leave(p, rooms, learner, history, sheets, seconds, run.out)


def networks(p: Params, px: int) -> tuple[NoiseGenerator, ScoreCritic]:
    """Both players, untrained, always the same."""
    torch.manual_seed(p.seed)
    norm: ScoreNorm = "batch" if p.gp_weight is None else "none"
    return (
        NoiseGenerator(px, **p.net.model_dump()),
        ScoreCritic(px, features=p.net.features, extra_layers=p.net.extra_layers, norm=norm),
    )


def leave(
    p: Params,
    rooms: data.Rooms,
    learner: Wgan,
    history: History,
    sheets: dict[str, bytes],
    seconds: float,
    out: Path,
) -> None:
    """The model, and all there is to see of it."""
    generator, critic, worker = learner.generator, learner.critic, learner.worker
    assert isinstance(generator, NoiseGenerator) and isinstance(critic, ScoreCritic)
    untrained, _ = networks(p, rooms["train"].shape[-1])
    figures = [*measured(p, rooms, worker.to_device(untrained), generator, seconds, worker)]
    figures += [
        Score(system="WGAN", measure=f"critic's estimate, {name} epoch", values=[value])
        for name, row in (("first", history[0]), ("last", history[-1]))
        for value in [-row["train_critic_loss"]]
    ]
    about = {"stage": "bedrooms", "frechet": figures[0].values[0], **history[-1]}
    write_model(out, generator, "bedrooms", generator.config, about)
    write_model(out / "critic", critic, "bedrooms critic", critic.config, {"stage": "bedrooms"})
    atomic_write(out / "history.csv", as_csv(history))
    for name, sheet in sheets.items():
        atomic_write(out / "samples" / name, sheet)
    first = plots.sheet(samples(untrained, sample_noise(SHEET, p.net.noise, p.seed)))
    frames = [first, *(Image.open(io.BytesIO(sheets[name])) for name in sorted(sheets))]
    photos = plots.sheet(some(rooms["train"], SHEET, p.seed))
    files: dict[str, tuple[str | bytes, str]] = {
        "samples.jpg": (
            as_jpeg(plots.beside(frames[-1], photos)),
            f"What {SHEET} draws of noise have become, beside crops of the photos",
        ),
        "film.webp": (plots.film(frames), "The same noise after every epoch"),
        "estimates.svg": (
            plots.estimates(history),
            "What the critic takes the distance between photos and samples for: "
            + plots.course(history),
        ),
    }
    for file, (content, _) in files.items():
        atomic_write(out / file, content)
    shown = [Plot(file=file, words=words) for file, (_, words) in files.items()]
    LessonResult(title="Bedrooms from noise", text=TEXT, figures=figures, pictures=shown).write(out)


def measured(
    p: Params,
    rooms: data.Rooms,
    untrained: nn.Module,
    trained: nn.Module,
    seconds: float,
    worker: Worker,
) -> list[Score]:
    """Distances of what is made, and of what it can be compared with, to the photos' crops."""
    eyes = fid.FeatureExtractor(p.encoder, p.layers, worker)
    count = min(p.n_samples, len(rooms["train"]) // 2, len(rooms["valid"]))
    photos, others = some(rooms["train"], 2 * count, p.seed).split(count)
    noise = sample_noise(count, p.net.noise, p.seed + 1)
    made = samples(trained, noise)
    mean = photos.float().mean(0, keepdim=True).round().to(torch.uint8)
    systems = {
        "WGAN": made,
        "untrained generator": samples(untrained, noise),
        "the photos' mean, again and again": mean.repeat(count, 1, 1, 1),
        "other crops of the same photos": others,
        "photos it never saw": some(rooms["valid"], count, p.seed),
    }
    seen = {name: eyes(shown) for name, shown in systems.items()}
    target = eyes(photos)
    figures = [
        Score(
            system=name,
            measure=f"Fréchet distance, features at 1/{2 ** (tap + 1)}",
            values=[fid.frechet(features[at], target[at])],
            seconds=[seconds] if name == "WGAN" else [],
        )
        for at, tap in enumerate(p.layers)
        for name, features in seen.items()
    ]
    share = fid.mean_pairwise_distance(made) / fid.mean_pairwise_distance(photos)
    pairs = "pairwise distance, share of the photos'"
    return [*figures, Score(system="WGAN", measure=pairs, values=[share], goal=0.5)]


def some(pictures: Tensor, count: int, seed: int) -> Tensor:
    """So many of all, drawn from a seed."""
    rng = torch.Generator().manual_seed(seed)
    return pictures[torch.randperm(len(pictures), generator=rng)[:count]]
