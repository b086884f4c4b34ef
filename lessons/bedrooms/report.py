"""The result of bedrooms: Fréchet distances, sheets of samples, and the critic's estimate."""

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lessonpipe.data.pictures import as_jpeg
from lessonpipe.io.atomic import atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.report.result import Result, Score, write_plots
from lessonpipe.train.fit import History, as_csv
from lessons.bedrooms import fid, plots
from lessons.bedrooms.data import Rooms
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic
from lessons.bedrooms.wgan import Wgan, sample_noise, samples

SHEET = 64  # samples on a sheet
TEXT = (
    "A generator that gets nothing but noise, and a critic whose scores tell it how far what it "
    "makes is from photos. Early features know colours, edges and textures, late ones things: a "
    "small distance at the first alone is of samples that have the photos' colours and surfaces, "
    "and no furniture."
)


@dataclass(frozen=True)
class TrainedGan:
    """Both networks, the generator before the training, and what the training left.

    `sheets` are of samples from the same noise, one after every epoch, in order.
    """

    learner: Wgan
    untrained: NoiseGenerator
    history: History
    sheets: dict[str, bytes]
    seconds: float

    @property
    def generator(self) -> NoiseGenerator:
        """The trained generator."""
        assert isinstance(self.learner.generator, NoiseGenerator)
        return self.learner.generator

    @property
    def critic(self) -> ScoreCritic:
        """The trained critic."""
        assert isinstance(self.learner.critic, ScoreCritic)
        return self.learner.critic


def write_result(
    gan: TrainedGan,
    rooms: Rooms,
    extractor: fid.FeatureExtractor,
    *,
    n_samples: int,
    seed: int,
    out: Path,
) -> None:
    """Evaluate the generator on `n_samples`; write both networks, scores and plots."""
    history = gan.history
    scores = sample_scores(gan, rooms, extractor, n_samples, seed)
    scores += [
        Score(
            system="WGAN",
            measure=f"critic's estimate, {name} epoch",
            values=[-row["train_critic_loss"]],
        )
        for name, row in (("first", history[0]), ("last", history[-1]))
    ]
    about = {"stage": "bedrooms", "frechet": scores[0].values[0], **history[-1]}
    write_model(out, gan.generator, "bedrooms", gan.generator.config, about)
    about = {"stage": "bedrooms"}
    write_model(out / "critic", gan.critic, "bedrooms critic", gan.critic.config, about)
    atomic_write(out / "history.csv", as_csv(history))
    for name, sheet in gan.sheets.items():
        atomic_write(out / "samples" / name, sheet)
    Result(
        title="Bedrooms from noise",
        text=TEXT,
        scores=scores,
        plots=write_plots(out, _files(gan, rooms["train"], seed)),
    ).write(out)


def _files(gan: TrainedGan, photos: Tensor, seed: int) -> dict[str, tuple[str | bytes, str]]:
    """Returns contents and captions of the plots, by file name."""
    first = plots.sheet(samples(gan.untrained, sample_noise(SHEET, gan.generator.noise, seed)))
    frames = [first, *(Image.open(io.BytesIO(sheet)) for sheet in gan.sheets.values())]
    photo_sheet = plots.sheet(random_subset(photos, SHEET, seed))
    return {
        "samples.jpg": (
            as_jpeg(plots.side_by_side(frames[-1], photo_sheet)),
            f"What {SHEET} draws of noise have become, beside crops of the photos",
        ),
        "film.webp": (plots.film(frames), "The same noise after every epoch"),
        "estimates.svg": (
            plots.estimates(gan.history),
            "What the critic takes the distance between photos and samples for: "
            + plots.trend(gan.history),
        ),
    }


def sample_scores(
    gan: TrainedGan, rooms: Rooms, extractor: fid.FeatureExtractor, n_samples: int, seed: int
) -> list[Score]:
    """Returns distances from crops of the photos: of samples, and of what to compare them with.

    There are Fréchet distances for every level of features, and how much samples differ from each
    other.
    """
    count = min(n_samples, len(rooms["train"]) // 2, len(rooms["valid"]))
    photos, others = random_subset(rooms["train"], 2 * count, seed).split(count)
    noise = sample_noise(count, gan.generator.noise, seed + 1)
    generated = samples(gan.generator, noise)
    mean = photos.float().mean(0, keepdim=True).round().to(torch.uint8)
    systems = {
        "WGAN": generated,
        "untrained generator": samples(gan.untrained, noise),
        "the photos' mean, again and again": mean.repeat(count, 1, 1, 1),
        "other crops of the same photos": others,
        "photos it never saw": random_subset(rooms["valid"], count, seed),
    }
    features = {name: extractor(pictures) for name, pictures in systems.items()}
    target = extractor(photos)
    scores = [
        Score(
            system=name,
            measure=f"Fréchet distance, features at 1/{2 ** (tap + 1)}",
            values=[fid.frechet(levels[level], target[level])],
            seconds=[gan.seconds] if name == "WGAN" else [],
        )
        for level, tap in enumerate(extractor.taps)
        for name, levels in features.items()
    ]
    share = fid.mean_pairwise_distance(generated) / fid.mean_pairwise_distance(photos)
    measure = "pairwise distance, share of the photos'"
    return [*scores, Score(system="WGAN", measure=measure, values=[share], goal=0.5)]


def random_subset(pictures: Tensor, count: int, seed: int) -> Tensor:
    """Returns `count` of the pictures, or all of fewer, in random order."""
    rng = torch.Generator().manual_seed(seed)
    return pictures[torch.randperm(len(pictures), generator=rng)[:count]]
