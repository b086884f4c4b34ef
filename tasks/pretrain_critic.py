"""Teach a critic to tell generated pictures from photos: data/save_preds -> models/pretrain_critic.

python -m tasks pretrain_critic
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from lessonpipe import cluster
from lessonpipe.data.augment import Augment
from lessonpipe.files import write_json, write_whole
from lessonpipe.nets.critic import Critic, CriticKind
from lessonpipe.nets.folder import save_model
from lessonpipe.settings import Strict
from lessonpipe.storage import Storage
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.fit import Phase, as_csv, fit, last, validate
from lessonpipe.train.generator import PairData
from lessonpipe.train.place import Place, Precision
from tasks import work


class Params(Strict):
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
    made: Path = Path("data/save_preds"),
    out: Path = Path("models/pretrain_critic"),
) -> None:
    """Train and save; the accuracy on the validation pictures is in `metrics.json`."""
    work.train(teach, p, {"pairs": pairs, "made": made}, out)


def ready(
    p: Params, pairs: Path = Path("data/crappify"), made: Path = Path("data/save_preds")
) -> tuple[CriticLearner, PairData, Place]:
    """The critic, the data, and where: all that a first step needs."""
    place = Place.here(p.precision)
    torch.manual_seed(p.seed)
    net = Critic(p.critic, pretrained=p.pretrained, encoder=p.encoder, depth=p.depth, width=p.width)
    return CriticLearner(net), PairData(pairs, p.augment, p.seed, place, made=made), place


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    learner, data, place = ready(p, Path(config["pairs"]), Path(config["made"]))
    history = fit(
        learner,
        p.phases,
        data,
        place,
        weight_decay=p.weight_decay,
        seed=p.seed,
        checkpoint=Checkpoint(Storage.at(config["scratch"])),
        report=cluster.report,
    )
    at = p.phases[-1]
    row = last(history) or validate(learner, data.valid(at), place)
    if place.rank == 0:
        out = Path(config["out"])
        save_model(out, learner.net, {"stage": "pretrain_critic", **row})
        write_whole(out / "history.csv", as_csv(history))
        write_json(out / "metrics.json", {"accuracy": row["valid_accuracy"]})
