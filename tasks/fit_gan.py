"""Generator and critic take turns: models/pretrain_{generator,critic} -> models/fit_gan.

python -m tasks fit_gan
"""

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pictures import grid, to_picture
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.storage import Storage, to_bytes
from lessonpipe.losses.pixel import PixelKind
from lessonpipe.nets.io import load_critic, load_generator, save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Frozen, Phase, as_csv
from lessonpipe.train.gan import GanLearner, fit_turns
from lessonpipe.train.gan_switch import AdaptiveSwitch, FixedSwitch
from lessonpipe.train.generator import PairData
from tasks.fit_feature import Feature, feature_loss
from tasks.pipeline import launch


class Adaptive(StrictModel):
    """The critic trains until its loss is below `threshold`, or for `patience` steps."""

    kind: Literal["adaptive"]
    threshold: float = Field(gt=0)
    patience: int | None = Field(ge=1)


class Fixed(StrictModel):
    """So many steps of the one, then so many of the other."""

    kind: Literal["fixed"]
    critic: int = Field(ge=1)
    generator: int = Field(ge=1)


class Params(StrictModel):
    """The loss's weights, whose turn it is, and the schedule."""

    seed: int
    precision: Precision
    image_px: int = Field(ge=32, multiple_of=32)
    batch: int = Field(ge=1)
    pictures: int | None = Field(ge=1)
    epochs: int = Field(ge=1)
    max_lr: float = Field(gt=0)
    critic_times: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    frozen: Frozen
    train_bn: bool
    pixel: PixelKind
    pixel_weight: float = Field(ge=0)
    critic_weight: float = Field(ge=0)
    feature: Feature | None
    switch: Adaptive | Fixed = Field(discriminator="kind")
    switch_eval: bool
    ema: float = Field(ge=0, lt=1)
    samples: int = Field(ge=1, le=16)
    augment: Augment


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    critic: Path = Path("models/pretrain_critic"),
    out: Path = Path("models/fit_gan"),
) -> None:
    """Train and save. `samples/` has a picture an epoch."""
    launch.launch(teach, p, {"pairs": pairs, "generator": generator, "critic": critic}, out)


def teach(config: dict[str, Any]) -> None:
    """The training function, run once a worker."""
    p = Params(**config["params"])
    worker = Worker.current(p.precision)
    torch.manual_seed(p.seed)
    generator = load_generator(Path(config["generator"]))
    critic = load_critic(Path(config["critic"]))
    data = PairData(Path(config["pairs"]), p.augment, p.seed, worker)
    checkpoint, out = Checkpoint(Storage.at(config["scratch"])), Path(config["out"])

    def keep_samples(epoch: int, net: nn.Module) -> None:
        sheet = sample_grid(net, data, worker, p.image_px, p.samples)
        checkpoint.save_file(
            f"epoch_{epoch:02d}.jpg", bytes(to_bytes(lambda f: sheet.save(f, "JPEG", quality=92)))
        )

    learner = GanLearner(
        generator,
        critic,
        worker.to_device(
            feature_loss(p.feature, p.pixel, generator.encoder.std, weight=p.pixel_weight)
        ),
        p.critic_weight,
        p.train_bn,
    )
    history = fit_turns(
        learner,
        Phase(
            image_px=p.image_px,
            batch=p.batch,
            epochs=p.epochs,
            max_lr=p.max_lr,
            frozen=p.frozen,
            pictures=p.pictures,
        ),
        data,
        worker,
        critic_times=p.critic_times,
        momentum=p.momentum,
        weight_decay=p.weight_decay,
        switch=_switch(p.switch),
        switch_eval=p.switch_eval,
        ema=p.ema,
        seed=p.seed,
        checkpoint=checkpoint,
        after_epoch=keep_samples,
        report=cluster.report_metrics,
    )
    if worker.rank == 0:
        save_model(out, generator, {"stage": "fit_gan", "image_px": p.image_px, **history[-1]})
        save_model(out / "critic", critic, {"stage": "fit_gan"})
        atomic_write(out / "history.csv", as_csv(history))
        for name, content in checkpoint.files().items():
            atomic_write(out / "samples" / name, content)


def _switch(p: Adaptive | Fixed) -> AdaptiveSwitch | FixedSwitch:
    if isinstance(p, Fixed):
        return FixedSwitch(p.critic, p.generator)
    return AdaptiveSwitch(p.threshold, p.patience)


@torch.no_grad()
def sample_grid(net: nn.Module, data: PairData, worker: Worker, image_px: int, count: int) -> Any:
    """Crappy, generated and good, side by side, for pictures spread over the validation side."""
    pairs = data.pairs("valid", image_px)
    chosen = [pairs[i * len(pairs) // count] for i in range(min(count, len(pairs)))]
    x = torch.stack([pair[0] for pair in chosen]).float() / 255
    with worker.autocast():
        made: Tensor = net(worker.batch_to_device(x))
    rows = [
        [to_picture(c / 255), to_picture(m), to_picture(g / 255)]
        for (c, g), m in zip(chosen, made, strict=True)
    ]
    return grid(rows, ["crappy", "generated", "photo"])
