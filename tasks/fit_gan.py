"""Generator and critic take turns: models/pretrain_{generator,critic} -> models/fit_gan.

python -m tasks fit_gan
"""

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import Phase, StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairData
from lessonpipe.data.pictures import as_jpeg, grid, to_picture
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.losses import FeatureLossConfig, PixelKind, image_loss
from lessonpipe.nets.io import load_critic, load_generator, save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit, last_row
from lessonpipe.train.gan import GanConfig, PairGanLearner
from tasks.pipeline.launch import TrainRun, launch


class Params(StrictModel):
    """The loss's weights, whose turn it is, and the schedule, whose rates stay as they are."""

    seed: int
    precision: Precision
    pixel: PixelKind
    pixel_weight: float = Field(ge=0)
    feature: FeatureLossConfig | None
    critic_weight: float = Field(ge=0)
    gan: GanConfig
    train_bn: bool
    samples: int = Field(ge=1, le=16)
    augment: Augment
    phases: list[Phase] = Field(min_length=1)


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    critic: Path = Path("models/pretrain_critic"),
    out: Path = Path("models/fit_gan"),
) -> None:
    """Train and save. `samples/` has an image an epoch: the losses of a GAN say little."""
    launch(train_worker, p, {"pairs": pairs, "generator": generator, "critic": critic}, out)


def load_data(p: Params, pairs: Path = Path("data/crappify")) -> PairData:
    """The pairs as this worker's training gets them."""
    return PairData(pairs, p.augment, p.seed, Worker.current(p.precision))


def build(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    critic: Path = Path("models/pretrain_critic"),
) -> tuple[PairGanLearner, PairData, Worker]:
    """Both networks with their loss, the data, and the worker: all that a first step needs."""
    data = load_data(p, pairs)
    worker = data.worker
    torch.manual_seed(p.seed)
    net = load_generator(generator)
    loss = image_loss(p.feature, p.pixel, net.encoder.std, p.pixel_weight)
    learner = PairGanLearner(
        net,
        load_critic(critic),
        p.gan,
        loss=worker.to_device(loss),
        critic_weight=p.critic_weight,
        train_bn=p.train_bn,
    )
    return learner, data, worker


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker."""
    p, inputs = run.params, run.inputs
    learner, data, worker = build(p, inputs["pairs"], inputs["generator"], inputs["critic"])
    learner.sample = _save_samples(run.checkpoint, data, p.phases[-1].image_px, p.samples)
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
        about = {"stage": run.stage, "image_px": p.phases[-1].image_px, **last_row(history)}
        save_model(run.out, learner.generator, about)
        save_model(run.out / "critic", learner.critic, {"stage": run.stage})
        run.save_history(history)
        for name, content in run.checkpoint.files().items():
            atomic_write(run.out / "samples" / name, content)


def _save_samples(
    checkpoint: Checkpoint, data: PairData, image_px: int, count: int
) -> Callable[[int, nn.Module], None]:
    """What saves a grid of samples beside the checkpoint after every epoch."""

    def save(epoch: int, net: nn.Module) -> None:
        sheet = sample_grid(net, data, image_px, count)
        checkpoint.save_file(f"epoch_{epoch:02d}.jpg", as_jpeg(sheet))

    return save


@torch.no_grad()
def sample_grid(net: nn.Module, data: PairData, image_px: int, count: int) -> Image.Image:
    """Crappy, generated and good in a row, for `count` validation images from first to last."""
    pairs, worker = data.pairs("valid", image_px), data.worker
    chosen = [pairs[i * len(pairs) // count] for i in range(min(count, len(pairs)))]
    x = torch.stack([pair[0] for pair in chosen]).float() / 255
    with worker.autocast():
        output: Tensor = net(worker.batch_to_device(x))
    rows = [
        [to_picture(crappy / 255), to_picture(y), to_picture(good / 255)]
        for (crappy, good), y in zip(chosen, output, strict=True)
    ]
    return grid(rows, ["crappy", "generated", "photo"])
