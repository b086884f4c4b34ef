"""Teach a network to make rooms of noise, and a critic: data/bedrooms -> models/bedrooms.

python -m tasks bedrooms
"""

import io
import time
from pathlib import Path
from typing import Annotated, Any

import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.storage import Storage
from lessonpipe.nets.io import write_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import History, TrainPhase, as_csv
from lessonpipe.train.gan import fit_turns
from lessonpipe.train.gan_switch import FixedSwitch
from lessons.bedrooms import data, fid, plots
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic, ScoreNorm
from lessons.bedrooms.wgan import Wgan, in_memory, sample_noise, samples
from lessons.result import LessonResult, Plot, Score
from tasks.pipeline import launch

SHEET = 64  # samples on a sheet
TEXT = (
    "A generator that gets nothing but noise, and a critic whose scores tell it how far what it "
    "makes is from photos. Early features know colours, edges and textures, late ones things: a "
    "small distance at the first alone is of samples that have the photos' colours and surfaces, "
    "and no furniture."
)


class Turns(StrictModel):
    """So many steps of the one, then so many of the other."""

    critic: int = Field(ge=1)
    generator: int = Field(ge=1)


class Params(StrictModel):
    """The networks, how the critic is held, and the schedule."""

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
    def _held(self) -> "Params":
        if self.clip is None and self.penalty is None:
            raise ValueError("clip and penalty are both null, so that nothing holds the critic")
        return self


def run(
    p: Params, rooms: Path = Path("data/bedrooms"), out: Path = Path("models/bedrooms")
) -> None:
    """Train, measure, and leave the generator, its critic, samples of every epoch, a film."""
    launch.launch(teach, p, {"rooms": rooms}, out)


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    rooms = data.load(Path(config["rooms"]))
    worker = Worker.current(p.precision)
    generator, critic = networks(p, rooms["train"].shape[-1])
    checkpoint = Checkpoint(Storage.at(config["scratch"]))
    noise = sample_noise(SHEET, p.noise, p.seed)
    start = time.perf_counter() - float(checkpoint.files().get("seconds", b"0"))

    def keep(epoch: int, net: nn.Module) -> None:
        made = as_jpeg(plots.sheet(samples(net, noise)))
        checkpoint.save_file(f"epoch_{epoch:03d}.jpg", made)
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
        after_epoch=keep,
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        leave(p, rooms, generator, critic, history, checkpoint.files(), worker, Path(config["out"]))


def networks(p: Params, px: int) -> tuple[NoiseGenerator, ScoreCritic]:
    """Both players, untrained, always the same."""
    torch.manual_seed(p.seed)
    norm: ScoreNorm = "batch" if p.penalty is None else "none"
    return (
        NoiseGenerator(px, noise=p.noise, features=p.features, extra=p.extra),
        ScoreCritic(px, features=p.features, extra=p.extra, norm=norm),
    )


def leave(
    p: Params,
    rooms: data.Rooms,
    generator: NoiseGenerator,
    critic: ScoreCritic,
    history: History,
    kept: dict[str, bytes],
    worker: Worker,
    out: Path,
) -> None:
    """The model, and all there is to see of it."""
    seconds = float(kept["seconds"])
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
    sheets = {name: content for name, content in kept.items() if name.endswith(".jpg")}
    for name, sheet in sheets.items():
        atomic_write(out / "samples" / name, sheet)
    first = plots.sheet(samples(untrained, sample_noise(SHEET, p.noise, p.seed)))
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
    eyes = fid.FeatureExtractor(p.encoder, p.taps, worker)
    count = min(p.measured, len(rooms["train"]) // 2, len(rooms["valid"]))
    photos, others = some(rooms["train"], 2 * count, p.seed).split(count)
    noise = sample_noise(count, p.noise, p.seed + 1)
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
        for at, tap in enumerate(p.taps)
        for name, features in seen.items()
    ]
    share = fid.mean_pairwise_distance(made) / fid.mean_pairwise_distance(photos)
    pairs = "pairwise distance, share of the photos'"
    return [*figures, Score(system="WGAN", measure=pairs, values=[share], goal=0.5)]


def some(pictures: Tensor, count: int, seed: int) -> Tensor:
    """So many of all, drawn from a seed."""
    rng = torch.Generator().manual_seed(seed)
    return pictures[torch.randperm(len(pictures), generator=rng)[:count]]
