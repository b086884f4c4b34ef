"""Train a critic to tell generated images from photos: data/save_preds -> models/pretrain_critic.

python -m tasks pretrain_critic
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from lessonpipe.config import Phase, StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairBatches, PairData
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import write_json
from lessonpipe.nets import Critic, CriticConfig
from lessonpipe.nets.io import save_model
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.fit import fit, last_row, validate
from lessonpipe.train.schedule import AdamWConfig
from tasks.pipeline.launch import TrainRun, launch


class CriticPhase(Phase):
    """A phase that counts pictures, as the lesson does: half of them generated, half photos."""

    batch: int = Field(ge=2, multiple_of=2)
    samples_per_epoch: int | None = Field(None, ge=2, multiple_of=2)

    @property
    def in_pairs(self) -> Phase:
        """The same, counted in pairs of a generated picture and its photo."""
        samples = self.samples_per_epoch and self.samples_per_epoch // 2
        halved = {"batch": self.batch // 2, "samples_per_epoch": samples}
        return Phase(**{**self.model_dump(), **halved})


class CriticData(PairData):
    """Pairs of a generated picture and its photo, in batches of as many pictures as asked for."""

    def train_batches(self, phase: CriticPhase) -> PairBatches:  # type: ignore[override]
        """Random views of the training pairs, `phase.batch` pictures over all workers."""
        return super().train_batches(phase.in_pairs)

    def valid_batches(  # type: ignore[override]
        self, phase: CriticPhase
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation pairs, not augmented."""
        return super().valid_batches(phase.in_pairs)


class Params(StrictModel):
    """Which critic, and its schedule."""

    seed: int
    precision: Precision
    net: CriticConfig
    pretrained: bool
    optim: AdamWConfig
    augment: Augment
    phases: list[CriticPhase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generated: Path = Path("data/save_preds"),
    out: Path = Path("models/pretrain_critic"),
) -> None:
    """Train and save; the accuracy on the validation images is in `metrics.json`."""
    launch(train_worker, p, {"pairs": pairs, "generated": generated}, out)


def load_data(
    p: Params, pairs: Path = Path("data/crappify"), generated: Path = Path("data/save_preds")
) -> CriticData:
    """Generated pictures and photos as this worker's training gets them."""
    return CriticData(pairs, p.augment, p.seed, Worker.current(p.precision), generated)


def build(
    p: Params, pairs: Path = Path("data/crappify"), generated: Path = Path("data/save_preds")
) -> tuple[CriticLearner, CriticData, Worker]:
    """The critic, the data, and the worker: all that a first step needs."""
    data = load_data(p, pairs, generated)
    torch.manual_seed(p.seed)
    learner = CriticLearner(Critic(p.net, pretrained=p.pretrained), p.optim)
    return learner, data, data.worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    learner, data, worker = build(p, run.inputs["pairs"], run.inputs["generated"])
    history = fit(
        learner,
        p.phases,
        data,
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        callback=run.callback(worker),
    )
    row = last_row(history) or validate(learner, data.valid_batches(p.phases[-1]), worker)
    if worker.rank == 0:
        save_model(run.out, learner.net, {"stage": run.stage, **row})
        run.save_history(history)
        write_json(run.out / "metrics.json", {"accuracy": row["valid_accuracy"]})
