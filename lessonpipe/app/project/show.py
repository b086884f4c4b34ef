"""A batch as training will see it, as one picture: fastai's `show_batch`, before any training.

The loaders are those of the stages, with params.yaml's sizes, seeds and augmentation: what is shown
is the first batch of a phase.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from torch import Tensor

from lessonpipe.data.manifest import Manifest
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import grid, to_picture
from lessonpipe.errors import MissingError
from lessonpipe.train.fit import epoch_seed

STAGES = {  # whose loader it is, where that has another name
    "pairs": "pretrain_generator",
    "augmented": "pretrain_generator",
    "pixel": "fit_pixel",
    "feature": "fit_feature",
    "critic": "pretrain_critic",
    "gan": "fit_gan",
}
MOST_PX = 1200  # of the sheet's width and height, where one pair is no larger
FILES_PX, FILES = 288, 8  # of pictures that are shown as the files that they are
LABELS = {"critic": ("generated: 0", "photo: 1")}


def batch_sheet(what: str, phase: int = 1) -> Image.Image:
    """The first batch of a phase, or of a sweep's network, counted from 1, drawn with its labels.

    `crappify` are files as that stage wrote them, `pairs` the first validation batch, all others
    training batches. Raises `MissingError` for data that are not made yet, and `UserError` for
    params that are wrong and phases that are not there.
    """
    if what == "crappify":
        return _files(Path("data/crappify"))
    from tasks.pipeline import params

    stage = STAGES.get(what, what)
    module: Any = importlib.import_module(f"tasks.{stage}")
    p = params.load_stage(module, stage)
    at = params.phase_of(p, stage, phase)
    sweep = hasattr(p, "runs")  # of networks, each with a first phase of its own
    data = module.build(p, at)[1] if sweep else module.load_data(p)
    epoch = epoch_seed(0 if sweep else phase - 1, 0)
    x, y = _first_batch(data, at, None if what == "pairs" else epoch)
    if draw := _lessons().get(what):
        return draw(x, y)
    titles = LABELS.get(what) or ("crappy", _good_side(data.folder))
    return _pairs(list(map(to_picture, x)), list(map(to_picture, y)), titles)


def _first_batch(data: Any, at: Any, epoch: int | None) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the first step of an epoch, or where that is None of the validation."""
    generated = getattr(data, "generated", None)
    if generated is not None and not generated.is_dir():
        raise MissingError(f"{generated} is not there", generated)
    batches = data.valid_batches(at) if epoch is None else data.train_batches(at).epoch(epoch)
    x, y, _ = next(iter(batches))
    return x, y


def _lessons() -> dict[str, Callable[[Tensor, Tensor], Image.Image]]:
    """How the batches of the lesson's other systems are drawn."""
    from lessons.bedrooms import plots as bedrooms
    from lessons.digits import plots as digits
    from lessons.numbers import plots as numbers
    from lessons.streets import plots as streets

    return {
        "digits": digits.batch,
        "streets": streets.batch,
        "bedrooms": bedrooms.batch,
        "numbers": numbers.batch,
    }


def _files(folder: Path) -> Image.Image:
    """Training pairs of a folder, spread over all of them, whole, at their photos' sizes."""
    pairs = Manifest.read(folder).split("train")
    count = min(FILES, len(pairs))
    chosen = [pairs[i * len(pairs) // count] for i in range(count)]
    photos: list[Image.Image] = []
    crappy: list[Image.Image] = []
    for pair in chosen:
        good, bad = (open_photo(folder / file) for file in (pair.good, pair.crappy))
        bad = bad.resize(good.size, Image.Resampling.BICUBIC)
        for sheet, picture in ((photos, good), (crappy, bad)):
            sheet.append(ImageOps.pad(picture, (FILES_PX, FILES_PX), color=(250, 250, 248)))
    return _pairs(crappy, photos, ("crappy", _good_side(folder)))


def _good_side(pairs: Path) -> str:
    """What the good pictures of a folder of pairs are called."""
    return "target" if Manifest.read(pairs).target else "photo"


def _pairs(
    left: Sequence[Image.Image], right: Sequence[Image.Image], titles: tuple[str, str]
) -> Image.Image:
    """Pictures of one size in pairs, as many full rows as the sheet has room for, one at least."""
    width, height = left[0].size
    columns = max(1, min(len(left), MOST_PX // (2 * width)))
    rows = max(1, min(len(left) // columns, MOST_PX // height))
    cells = [picture for pair in zip(left, right, strict=True) for picture in pair]
    row = 2 * columns
    return grid([cells[i * row : (i + 1) * row] for i in range(rows)], list(titles) * columns)
