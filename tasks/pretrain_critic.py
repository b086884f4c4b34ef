"""Teach a critic to tell generated pictures from photos: data/save_preds -> models/pretrain_critic.

python -m tasks pretrain_critic
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write, write_json
from lessonpipe.io.storage import Storage
from lessonpipe.nets.critic import Critic, CriticKind
from lessonpipe.nets.io import save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.fit import Phase, as_csv, fit, last_row, validate
from lessonpipe.train.generator import PairData
from tasks.pipeline import launch


class Params(StrictModel):
    """Which critic, and its schedule."""

    seed: int
    precision: Precision
    critic: CriticKind
    encoder: str
    pretrained: bool
    depth: int = Field(ge=1, le=5)
    width: int = Field(ge=8)
    weight_decay: float = Field(ge=0)
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generated: Path = Path("data/save_preds"),
    out: Path = Path("models/pretrain_critic"),
) -> None:
    """Train and save; the accuracy on the validation pictures is in `metrics.json`."""
    launch.launch(teach, p, {"pairs": pairs, "generated": generated}, out)


def ready(
    p: Params, pairs: Path = Path("data/crappify"), generated: Path = Path("data/save_preds")
) -> tuple[CriticLearner, PairData, Worker]:
    """The critic, the data, and where: all that a first step needs."""
    worker = Worker.current(p.precision)
    torch.manual_seed(p.seed)
    net = Critic(p.critic, pretrained=p.pretrained, encoder=p.encoder, depth=p.depth, width=p.width)
    return (
        CriticLearner(net),
        PairData(pairs, p.augment, p.seed, worker, generated=generated),
        worker,
    )


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    learner, data, worker = ready(p, Path(config["pairs"]), Path(config["generated"]))
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
    at = p.phases[-1]
    row = last_row(history) or validate(learner, data.valid_batches(at), worker)
    if worker.rank == 0:
        out = Path(config["out"])
        save_model(out, learner.net, {"stage": "pretrain_critic", **row})
        atomic_write(out / "history.csv", as_csv(history))
        write_json(out / "metrics.json", {"accuracy": row["valid_accuracy"]})
