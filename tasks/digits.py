"""Teach networks to read digits, with several seeds: data/digits -> models/digits.

python -m tasks digits
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from lessonpipe.config import StrictModel, TrainPhase
from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Worker
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.report.curves import rate_curve
from lessonpipe.train.fit import as_csv, last_row
from lessonpipe.train.lr_find import lr_find
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits import data, learn, plots
from lessons.digits.nets import DigitNet, DigitNetConfig, Kind
from lessons.result import LessonResult, Plot, Score
from tasks.pipeline import launch

TITLES = {
    "plain": "plain CNN",
    "residual": "residual network",
    "dense": "dense network",
    "no shortcut": "the same without shortcuts",
}
TEXT = (
    "Five convolutions of stride 2 read digits; a block behind each, whose answer is added to what "
    "went in, reads them better. The dense network is the same block, which concatenates instead. "
    "The landscapes are the loss around two trained networks of the same depth, one without "
    "shortcuts: the narrower a valley is, the harder it is to find."
)


class Run(TrainPhase):
    """One network and its schedule; `ema` is as `fit`'s, `lesson` what the lesson reached, `goal`
    what is asked of another network."""

    net: Kind
    width: int = Field(1, ge=1)
    ema: float = Field(0.0, ge=0, lt=1)
    lesson: float | None = None
    goal: float | None = None

    @property
    def system(self) -> str:
        """Which system of the table it is."""
        wide = f" {self.width} times as wide" if self.width > 1 else ""
        return f"{TITLES[self.net]}{wide}, {self.epochs} epochs"


class Surface(StrictModel):
    """The loss around trained networks, on a plane of `points` a side."""

    nets: list[Kind] = Field(min_length=1)
    blocks: int = Field(ge=1)
    phase: TrainPhase
    points: int = Field(ge=3)
    extent: float = Field(gt=0)
    samples: int = Field(ge=1)


class Params(StrictModel):
    """The networks, the seeds each is trained with, and what is drawn."""

    seeds: list[int] = Field(min_length=1)
    optim: AdamWConfig
    runs: list[Run] = Field(min_length=1)
    surface: Surface


@dataclass(frozen=True)
class Job:
    """One training: a run of `runs`, or a network to look around."""

    net: Kind
    schedule: TrainPhase
    seed: int
    blocks: int = 1
    width: int = 1
    ema: float = 0.0
    surface: Surface | None = None

    @property
    def cost(self) -> int:
        """How long it takes beside others, more or less."""
        return self.schedule.epochs * self.width


def run(p: Params, digits: Path = Path("data/digits"), out: Path = Path("models/digits")) -> None:
    """Train all, and leave the best network, figures and pictures."""
    held = data.load(digits)
    one = partial(train_one, digits=held, optim=p.optim)
    inputs = {"digits": digits}
    with (
        launch.map_trainings(one, jobs(p), p, inputs.values(), out.name) as done,
        atomic_folder(out) as draft,
    ):
        figures = [figure(one, p, done) for one in p.runs]
        best = max(p.runs, key=lambda r: done[name(r, p.seeds[0])]["accuracy"])
        answer = done[name(best, p.seeds[0])]
        net = DigitNet(DigitNetConfig(**answer["build"]))
        net.load_state_dict(answer["net"])
        about = {"stage": "digits", "system": best.system, "accuracy": answer["accuracy"]}
        write_model(draft, net, "digits", net.config, about)
        atomic_write(draft / "history.csv", as_csv(answer["history"]))
        shown = LessonResult(
            title="Digits", text=TEXT, figures=figures, pictures=draw(p, held, net, draft)
        )
        surfaces = {TITLES[n]: done[f"surface {n}"]["surface"] for n in p.surface.nets}
        atomic_write(draft / "surfaces.svg", plots.landscapes(surfaces, p.surface.extent))
        words = f"The loss around networks of {depth(p.surface.blocks)} layers, with and without"
        shown.pictures.append(Plot(file="surfaces.svg", words=f"{words} shortcuts"))
        shown.write(draft)
        lineage.stamp(draft, p.model_dump(mode="json"), inputs)


def jobs(p: Params) -> dict[str, Job]:
    """Every training, the longest first."""
    runs = {
        name(r, seed): Job(r.net, r, seed, width=r.width, ema=r.ema)
        for r in p.runs
        for seed in p.seeds
    }
    look = p.surface
    around = {
        f"surface {net}": Job(net, look.phase, p.seeds[0], look.blocks, surface=look)
        for net in look.nets
    }
    return dict(sorted({**around, **runs}.items(), key=lambda item: -item[1].cost))


def name(one: Run, seed: int) -> str:
    """A training by its name."""
    return f"{one.system}, seed {seed}"


def depth(blocks: int) -> int:
    """Layers on the way through a network with so many blocks behind its four convolutions."""
    return 5 + 4 * 2 * blocks


def train_one(job: Job, digits: data.Digits, optim: AdamWConfig) -> dict[str, Any]:
    """What a training leaves: history, weights, accuracy and seconds, or a surface."""
    net, history, seconds = learn.train_network(
        DigitNetConfig(kind=job.net, blocks=job.blocks, width=job.width),
        digits,
        job.schedule,
        optim,
        ema=job.ema,
        seed=job.seed,
    )
    if job.surface is not None:
        x, y = (digits[f"train_{side}"][: job.surface.samples] for side in "xy")
        losses = learn.surface(
            net, x, y, points=job.surface.points, extent=job.surface.extent, seed=job.seed
        )
        return {"surface": losses}
    return {
        "history": history,
        "net": net.state_dict(),
        "build": net.config.model_dump(),
        "accuracy": last_row(history).get("valid_accuracy", 0.0),
        "seconds": seconds,
    }


def figure(one: Run, p: Params, done: dict[str, dict[str, Any]]) -> Score:
    """A run's line of the table."""
    answers = [done[name(one, seed)] for seed in p.seeds]
    return Score(
        system=one.system,
        measure="accuracy",
        values=[a["accuracy"] for a in answers],
        seconds=[a["seconds"] for a in answers],
        lesson=one.lesson,
        goal=one.goal,
    )


def draw(p: Params, digits: data.Digits, net: DigitNet, folder: Path) -> list[Plot]:
    """The learning rates, the confusion and the worst mistakes, as files in `folder`."""
    told, meant = learn.predict_probabilities(net, digits["valid_x"]), digits["valid_y"]
    files: dict[str, tuple[str | bytes, str]] = {
        "rates.svg": (rates(p, digits), "Learning rates tried for the first network of the table"),
        "confusion.svg": (
            plots.confusion_picture(plots.confusion(told.argmax(1), meant)),
            "What the best network takes for what, of 10,000 digits it never saw",
        ),
        "worst.jpg": (
            as_jpeg(plots.worst(digits["valid_x"], told, meant)),
            "The mistakes it was surest of: what was meant, as what, how sure",
        ),
    }
    for file, (content, _) in files.items():
        atomic_write(folder / file, content)
    return [Plot(file=file, words=words) for file, (_, words) in files.items()]


def rates(p: Params, digits: dict[str, Tensor]) -> str:
    """The curve of the learning-rate finder, as fastai draws it before the first training."""
    first = p.runs[0]
    torch.manual_seed(p.seeds[0])
    worker = Worker.current("fp32")
    learner = learn.Classifier(DigitNet(DigitNetConfig(kind=first.net)), p.optim)
    held = learn.in_memory(digits, p.seeds[0], worker)
    curve = lr_find(learner, held, first, worker, seed=p.seeds[0])
    return rate_curve(TITLES[first.net], curve.rates, curve.losses, curve.suggest())
