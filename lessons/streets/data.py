"""Photos and their classes in a folder, and batches of them at any size.

`SIDE/NAME.png` (or .jpg) and `SIDE_labels/NAME.png`, a grey picture of class numbers, for the
sides train, valid and, where a data set has one, test.
"""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.data.augment import Augment
from lessonpipe.data.in_memory import TensorBatches
from lessonpipe.data.pairs import worker_slice
from lessonpipe.data.photos import find_pictures, open_photo
from lessonpipe.data.pictures import to_tensor
from lessonpipe.device import Worker
from lessonpipe.errors import MissingError, UserError
from lessons.streets.classes import NAMES

Side = Annotated[int, Field(ge=64, le=4096)]
Pair = tuple[Tensor, Tensor]  # N 3 H W and N H W, both bytes


class Sized(TrainPhase):
    """Some epochs at one size, height and width."""

    image_px: tuple[Side, Side]

    @property
    def history_columns(self) -> dict[str, int]:
        """The height, in pixels."""
        return {"height": self.image_px[0]}


def read_labels(content: bytes | Path, name: str) -> np.ndarray:
    """Class numbers `H W`. Raises `UserError` for a picture of anything else."""
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as picture:
            if picture.mode not in ("L", "P"):
                raise UserError(f"{name}: labels are grey pictures of class numbers, not a photo")
            labels = np.array(picture, dtype=np.uint8)
    except (OSError, SyntaxError) as error:
        raise UserError(f"{name}: cannot be read ({error})") from error
    if labels.max(initial=0) >= len(NAMES):
        raise UserError(f"{name}: there is no class {labels.max()}; they are 0...{len(NAMES) - 1}")
    return labels


def save_labels(labels: np.ndarray) -> bytes:
    """Class numbers as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def read_split(folder: Path, split: str) -> Pair:
    """All photos of a split with their classes. Raises `MissingError` when there are none."""
    if not (folder / split).is_dir():
        raise MissingError(f"{folder} has no {split}", folder)
    photos = find_pictures([folder / split])

    def read(path: Path) -> Pair:
        labels = folder / f"{split}_labels" / f"{path.stem}.png"
        y = torch.from_numpy(read_labels(labels, str(labels)))
        return to_tensor(open_photo(path)), y

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        xs, ys = zip(*pool.map(read, photos), strict=True)
    if len({x.shape[1:] for x in xs} | {y.shape for y in ys}) > 1:
        raise UserError(f"{folder / split} holds pictures of several sizes")
    return torch.stack(xs), torch.stack(ys)


def resized(pair: Pair, size: tuple[int, int]) -> Pair:
    """Photos smoothly and classes by the nearest pixel to `size`, height and width."""
    x, y = pair
    if tuple(x.shape[-2:]) == tuple(size):
        return pair
    parts = [
        F.interpolate(part.float(), size, mode="bilinear", antialias=True) for part in x.split(32)
    ]
    small = torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
    return small, F.interpolate(y[:, None], size, mode="nearest-exact")[:, 0]


@dataclass
class Streets:
    """Batches of both splits at the size that a phase asks for."""

    folder: Path
    augment: Augment
    seed: int
    worker: Worker
    _read: dict[str, Pair] = field(default_factory=dict)
    _sized: dict[tuple[str, tuple[int, int]], Pair] = field(default_factory=dict)

    def split(self, split: str, size: tuple[int, int]) -> Pair:
        """The photos and classes of a split at a size; one size at a time is in memory."""
        key = (split, (size[0], size[1]))
        if key not in self._sized:
            self._sized = {k: v for k, v in self._sized.items() if k[1] == key[1]}
            self._sized[key] = resized(self.full_size(split), key[1])
        return self._sized[key]

    def full_size(self, split: str) -> Pair:
        """The photos and classes of a split as they are in the folder, read once."""
        if split not in self._read:
            self._read[split] = read_split(self.folder, split)
        return self._read[split]

    def train_batches(self, phase: Sized) -> TensorBatches:
        """Random views of the training split, `phase.batch` photos over all workers."""
        moves, size = self.augment.moves, phase.image_px
        x, y = self.full_size("train") if moves else self.split("train", size)
        view, samples = SegmentationView(self.augment, size), phase.samples_per_epoch
        return TensorBatches(x, y, phase.batch, self.seed, self.worker, view, samples)

    def valid_batches(self, phase: Sized) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation photos in order."""
        return eval_batches(self.split("valid", phase.image_px), phase.batch, self.worker)


def eval_batches(pair: Pair, batch: int, worker: Worker) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yields photos in 0...1, their classes, and how many photos of this worker count."""
    for x, y in zip(*(part.split(batch) for part in pair), strict=True):
        share, count = worker_slice(len(x), worker.rank, worker.world)
        yield x[share].float() / 255, y[share].long(), count


@dataclass(frozen=True)
class SegmentationView:
    """Random views of photos and their classes, which move together: height and width are `size`.

    Photos that move are sampled from their full size once; others have that size already.
    """

    augment: Augment
    size: tuple[int, int]

    def __call__(self, x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """`B 3 H W`, `B H W`, both bytes `-> B 3 H W` in 0...1, `B H W`."""
        view = self.augment.draw(len(x), rng)
        x, y = x.float() / 255, y.long()
        if view.samplings is not None:
            photos = [move(photo, self.size) for move, photo in zip(view.samplings, x, strict=True)]
            classes = [
                move(labels[None].float(), self.size, mode="nearest")[0]
                for move, labels in zip(view.samplings, y, strict=True)
            ]
            x, y = torch.stack(photos), torch.stack(classes).long()
        return view(x), view.labels(y)
