"""Train a U-Net by pixels to undo the recipe: data/crappify -> models/pretrain_generator.

python -m tasks pretrain_generator
"""

from pathlib import Path

import torch
from pydantic import Field

from lessonpipe.config import Phase, StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairData
from lessonpipe.device import Precision, Worker
from lessonpipe.losses import DamageLoss, DamageLossConfig, PixelKind, PixelLoss
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.nets.io import load_matching_weights, save_model
from lessonpipe.train.fit import fit, last_row
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.schedule import AdamWConfig
from lessonpipe.zoo import find_model
from tasks.pipeline.launch import TrainRun, launch

START = "my_model"  # the folder for a model to start from: in a new project it holds none


class Params(StrictModel):
    """The network, the model folder that its weights start from, its loss, and its schedule."""

    seed: int
    precision: Precision
    net: UnetConfig
    start: str
    pretrained: bool
    loss: PixelKind
    damage: DamageLossConfig | None = None
    optim: AdamWConfig
    train_bn: bool
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    out: Path = Path("models/pretrain_generator"),
) -> None:
    """Train and save. The model folder also holds `history.csv`, a row an epoch."""
    launch(train_worker, p, {"pairs": pairs, **start_model(p)}, out)


def start_model(p: Params) -> dict[str, Path]:
    """The model folder to start from, by the name `start`; none where the usual one is empty.

    A model of the package goes by its name.
    """
    if p.start == START and not Path(START, "model.json").is_file():
        return {}
    return {"start": find_model(p.start)}


def load_data(p: Params, pairs: Path = Path("data/crappify")) -> PairData:
    """The pairs as this worker's training gets them."""
    return PairData(pairs, p.augment, p.seed, Worker.current(p.precision))


def build(
    p: Params, pairs: Path = Path("data/crappify"), start: Path | None = None
) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network with its loss, the data, and the worker: all that a first step needs."""
    data = load_data(p, pairs)
    worker = data.worker
    torch.manual_seed(p.seed)
    net = Generator(p.net, pretrained=p.pretrained)
    if start := start or start_model(p).get("start"):
        misfits, tensors = load_matching_weights(start, net), len(net.state_dict())
        named = "".join(f"; not {name}" for name in misfits[:5])
        print(f"starts from {start}: {tensors - len(misfits)} of {tensors} tensors fit{named}")
    loss = worker.to_device(PixelLoss(p.loss, net.encoder.std))
    learner = GeneratorLearner(net, p.optim, loss=loss, train_bn=p.train_bn)
    if p.damage:
        learner.damage_loss = worker.to_device(DamageLoss(p.damage, loss))
    return learner, data, worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p = run.params
    learner, data, worker = build(p, run.inputs["pairs"], run.inputs.get("start"))
    history = fit(
        learner,
        p.phases,
        data,
        worker,
        seed=p.seed,
        checkpoint=run.checkpoint,
        callback=run.callback(worker),
    )
    if worker.rank == 0:
        save_model(run.out, learner.net, {"stage": run.stage, **last_row(history)})
        run.save_history(history)
