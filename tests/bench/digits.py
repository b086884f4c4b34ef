"""An epoch of the residual digit network: digits held in memory against fastai's PNG files."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from torch import nn

from lessonpipe.config import TrainPhase
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits import data, learn
from lessons.digits.nets import DigitNet, DigitNetConfig
from tests.bench.rounds import OURS, Row, contest

RATE = 0.05
CONFIG = DigitNetConfig(kind="residual")


def digits(rounds: int, count: int = 12_800, clock: str = "wall") -> Iterator[Row]:
    """One-cycle over `count` digits with random padded crops, and a test on 2,000."""
    held = {
        name: v[: count if name.startswith("train") else 2000]
        for name, v in data.from_package().items()
    }
    schedule = TrainPhase(batch=128, epochs=1, max_lr=RATE)

    def ours() -> None:
        built = learn.build(CONFIG, held, schedule, AdamWConfig(eps=1e-5), ema=0, seed=1)
        learn.train_network(*built, schedule, seed=1)

    with tempfile.TemporaryDirectory() as folder:
        names = ("fastai", "fastai, 2 loaders")
        peers = {
            name: _peer(held, Path(folder), loaders)
            for name, loaders in zip(names, (0, 2), strict=True)
        }
        title = f"an epoch of {count} digits"
        yield contest("digits", title, {OURS: ours, **peers}, rounds, clock)


def _peer(held: data.Digits, folder: Path, loaders: int) -> Callable[[], None]:
    import fastai.callback.progress
    import fastai.callback.schedule  # noqa: F401
    from fastai.basics import Learner, accuracy
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.data.transforms import GrandparentSplitter, Normalize, get_image_files, parent_label
    from fastai.losses import CrossEntropyLossFlat
    from fastai.vision.augment import CropPad, RandomCrop
    from fastai.vision.core import PILImageBW
    from fastai.vision.data import ImageBlock

    for side, name in (("train", "training"), ("valid", "testing")):
        for i, (x, y) in enumerate(zip(held[f"{side}_x"], held[f"{side}_y"].tolist(), strict=True)):
            path = folder / name / str(y) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Image.fromarray(x.numpy()).save(path)
    block = DataBlock(
        blocks=(ImageBlock(cls=PILImageBW), CategoryBlock),
        get_items=get_image_files,
        splitter=GrandparentSplitter(train_name="training", valid_name="testing"),
        get_y=parent_label,
        item_tfms=[CropPad(34), RandomCrop(28)],
        batch_tfms=[Normalize()],
    )
    loader = block.dataloaders(folder, bs=128, num_workers=loaders)

    def fit() -> None:
        net = nn.Sequential(DigitNet(CONFIG).layers, nn.Flatten())
        learner = Learner(loader, net, loss_func=CrossEntropyLossFlat(), metrics=accuracy, wd=0.01)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1, RATE)

    return fit
