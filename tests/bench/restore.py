"""Restoring one picture of 1280x1600: seconds, and the peak memory of the whole process.

Each turn is a process of its own, `python -m tests.bench.restore WHO FOLDER`, that restores the
picture twice, of which the first does not count, and tells what it took.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from lessonpipe.report.high_resolution import peak_bytes
from tests.bench.rounds import OURS, Row
from tests.conftest import make_picture

SIZE = (1280, 1600)
SAMPLE = Path("models/fit_pixel")


def restore(rounds: int) -> Iterator[Row]:
    """The same network on both sides, and the sample run's network against fastai's."""
    with tempfile.TemporaryDirectory() as here:
        folder = Path(here)
        make_picture(*SIZE).save(folder / "picture.png")
        (folder / "small").mkdir()
        for i in range(2):
            make_picture(128, 128, seed=i).save(folder / "small" / f"{i}.png")
        _build(folder)
        who = {"same network": "same", "the sample's network": "sample"}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in ("fastai", *who.values())}
        for number in range(rounds):
            order = list(taken)
            for name in reversed(order) if number % 2 else order:
                words = [sys.executable, "-m", "tests.bench.restore", name, str(folder)]
                done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
                taken[name].append(json.loads(done.stdout.splitlines()[-1]))
        for unit in ("s", "GB"):
            for title, name in who.items():
                values = {
                    OURS: [each[unit] for each in taken[name]],
                    "fastai": [each[unit] for each in taken["fastai"]],
                }
                what = "time" if unit == "s" else "peak memory"
                yield Row("restore", f"{title}, {what}", unit, values)


def _build(folder: Path) -> None:
    """Untrained model folders: the lesson's network, and the sample's where none was trained."""
    from lessonpipe.nets import Generator, UnetConfig
    from lessonpipe.nets.io import save_model
    from tests.bench.ours import lesson_generator

    save_model(folder / "same", lesson_generator(attention=False), {})
    config = UnetConfig(
        encoder="tf_efficientnet_lite0",
        widths=[96, 64, 48, 32],
        head=13,
        norm="none",
        output="correction",
    )
    save_model(folder / "sample", Generator(config, pretrained=False), {})


def _ours(model: Path) -> Callable[[Image.Image], Image.Image]:
    from lessonpipe.inference.restorer import Restorer

    return Restorer(model)


def _theirs(small: Path) -> Callable[[Image.Image], object]:
    """fastai's `predict`, with a learner made as the lesson makes it."""
    import torchvision
    from fastai.data.block import DataBlock
    from fastai.data.transforms import RandomSplitter, get_image_files
    from fastai.layers import NormType
    from fastai.losses import MSELossFlat
    from fastai.vision.core import PILImage
    from fastai.vision.data import ImageBlock
    from fastai.vision.learner import unet_learner

    block = DataBlock(
        blocks=(ImageBlock, ImageBlock),
        get_items=get_image_files,
        get_y=lambda path: path,
        splitter=RandomSplitter(0.5, seed=1),
    )
    learn = unet_learner(
        block.dataloaders(small, bs=1, num_workers=0),
        torchvision.models.resnet34,
        pretrained=False,
        n_out=3,
        loss_func=MSELossFlat(),
        blur=True,
        norm_type=NormType.Weight,
        y_range=(-3.0, 3.0),
    )

    def predict(picture: Image.Image) -> object:
        return learn.predict(PILImage.create(picture))

    return predict


def _child(who: str, folder: Path) -> None:
    picture = Image.open(folder / "picture.png").convert("RGB")
    if who == "fastai":
        work: Callable[[Image.Image], object] = _theirs(folder / "small")
    else:
        trained = who == "sample" and (SAMPLE / "model.json").is_file()
        work = _ours(SAMPLE if trained else folder / who)
    work(picture)
    start = time.perf_counter()
    work(picture)
    seconds = time.perf_counter() - start
    print(json.dumps({"s": seconds, "GB": peak_bytes(os.getpid()) / 1e9}))


if __name__ == "__main__":
    _child(sys.argv[1], Path(sys.argv[2]))
