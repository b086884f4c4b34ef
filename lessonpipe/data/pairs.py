"""The data set of crappy and good images, in batches that any number of workers can share."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lessonpipe.config import Phase
from lessonpipe.data.augment import Augment, View
from lessonpipe.data.manifest import Manifest, Split
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import to_tensor
from lessonpipe.data.sampling import Sampling, frame_size
from lessonpipe.device import Worker, send
from lessonpipe.environment import environment
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar

CPU = torch.device("cpu")
GPU_SHARE = 0.25  # of a GPU's free memory: the rest is for training
RESAMPLE = Image.Resampling.BICUBIC  # crappy images are enlarged by it, good ones reduced


def room(device: torch.device) -> float:
    """Bytes that a split may take: LESSONPIPE_CACHE_GB, or of a GPU a quarter of what is free."""
    if device.type != "cuda":
        return environment().cache_gb * 1e9
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own
    return GPU_SHARE * (free + unused)


def center_square(picture: Image.Image, image_px: int) -> Image.Image:
    """The center crop of a picture, resized to `image_px` a side."""
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side)
    return picture.resize((image_px, image_px), RESAMPLE, box=box)


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """The pairs of one split at `image_px`: `(crappy, good)`, both `3 H W` bytes.

    With `generated`, a folder of generated pictures, those take the place of the crappy ones.
    Decoded once and kept while they fit, if `keep`: on `device`, or in this machine's memory
    (`room`). Raises `UserError` when the split is empty.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        image_px: int,
        generated: Path | None = None,
        *,
        keep: bool = True,
        device: torch.device = CPU,
    ) -> None:
        self.folder, self.image_px, self.generated = Path(folder), image_px, generated
        self.pairs = Manifest.read(folder).split(split)
        if not self.pairs:
            raise UserError(f"{folder} holds no pictures in the {split} split; check crappify")
        shape = (2, len(self.pairs), 3, image_px, image_px)
        home = next((at for at in (device, CPU) if keep and math.prod(shape) <= room(at)), None)
        self.kept = None if home is None else self._decode(shape, split).to(home)

    def _decode(self, shape: tuple[int, ...], split: Split) -> Tensor:
        """All pairs: `2 N 3 H W`, the crappy pictures and the good ones."""
        decoded = torch.empty(shape, dtype=torch.uint8)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            loaded = pool.map(self._load, range(len(self.pairs)))
            title = f"decode {split} at {self.image_px}"
            for i, pair in enumerate(progress_bar(loaded, title, total=len(self.pairs))):
                decoded[0, i], decoded[1, i] = pair
        return decoded

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return (
            self._load(index) if self.kept is None else (self.kept[0, index], self.kept[1, index])
        )

    def _load(self, index: int) -> tuple[Tensor, Tensor]:
        crappy, good = (to_tensor(center_square(p, self.image_px)) for p in self._open(index))
        return crappy, good

    def sampled(self, index: int, sampling: Sampling) -> tuple[Tensor, Tensor]:
        """A view of a pair, read from the pixels of its files: both `3 H W` in 0...255.

        Both have the good picture's frame, so that they show the same place; but a generated one
        is a square, which the photo's frame would squeeze.
        """
        pictures = [to_tensor(picture) for picture in self._open(index)]
        shown = pictures if self.generated else [pictures[1]] * 2
        px = self.image_px
        crappy, good = (
            sampling(picture.float(), (px, px), frame_size(like, px))
            for picture, like in zip(pictures, shown, strict=True)
        )
        return crappy, good

    def _open(self, index: int) -> Iterator[Image.Image]:
        pair = self.pairs[index]
        source = (
            self.generated / f"{pair.name}.png" if self.generated else self.folder / pair.crappy
        )
        return map(open_photo, (source, self.folder / pair.good))


@dataclass
class Sampled(Dataset[tuple[Tensor, Tensor]]):
    """Views of pairs, by the number of a pair and how it is sampled."""

    pairs: Pairs

    def __getitem__(self, key: tuple[int, Sampling]) -> tuple[Tensor, Tensor]:
        return self.pairs.sampled(*key)


@dataclass
class PairBatches:
    """Training batches of pairs; each epoch's order comes from `seed` alone.

    The global batch is cut into as many shares as there are workers; the last, short batch is
    shared too. Random views are drawn for the global batch, so that the images are the same
    whatever the number of workers. Pictures that move are sampled where they are decoded, anew in
    every epoch; what is done on a batch is done on the worker's device, and no step waits for it.
    """

    pairs: Pairs
    batch: int
    seed: int
    augment: Augment
    worker: Worker
    samples: int | None = None  # an epoch's length; by default every pair once

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-(self.samples or len(self.pairs)) // self.batch)

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yields (crappy, good, weight): `B 3 H W` in 0...1, weight = share of the global batch."""
        wanted = self.samples or len(self.pairs)
        order = [
            part.tolist()
            for part in epoch_batches(len(self.pairs), wanted, self.batch, self.seed, epoch)
        ]
        worker = self.worker
        shares = [worker_slice(len(indices), worker.rank, worker.world) for indices in order]
        mine = [indices[share] for indices, (share, _) in zip(order, shares, strict=True)]
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 500_009)
        views = [
            self.augment.draw(len(indices), rng).part(share)
            for indices, (share, _) in zip(order, shares, strict=True)
        ]
        loaded = self._loaded(mine, views)
        for (x, y), view, indices, (_, count) in zip(loaded, views, order, shares, strict=True):
            x, y = (send(part, worker.device).float() / 255 for part in (x, y))
            yield view(x), view(y), count / len(indices)

    def _loaded(self, mine: list[list[int]], views: list[View]) -> Iterable[Sequence[Tensor]]:
        """This worker's pairs of an epoch in batches, `B 3 H W` each."""
        kept = self.pairs.kept
        if kept is None:
            return self._loader(mine, views)
        return (kept[:, send(torch.tensor(indices), kept.device)].unbind() for indices in mine)

    def _loader(self, mine: list[list[int]], views: list[View]) -> DataLoader[tuple[Tensor, ...]]:
        """What loads this worker's pairs of an epoch in batches, sampled if they move."""
        keys: list[Any] = list(mine)
        if self.augment.moves:
            keys = [
                list(zip(indices, view.samplings or [], strict=True))
                for indices, view in zip(mine, views, strict=True)
            ]
        return DataLoader(
            Sampled(self.pairs) if self.augment.moves else self.pairs,
            batch_sampler=keys,
            num_workers=num_loader_workers(),
            pin_memory=torch.cuda.is_available(),
        )


@dataclass
class PairData:
    """The pairs in a folder at any size, decoded once a size.

    With `generated`, a folder of generated images, those take the place of the crappy ones.
    """

    folder: Path
    augment: Augment
    seed: int
    worker: Worker
    generated: Path | None = None
    _loaded: dict[tuple[Split, int], Pairs] = field(default_factory=dict)

    def pairs(self, split: Split, image_px: int) -> Pairs:
        """The pairs of one split at one size."""
        if (split, image_px) not in self._loaded:
            for key in [k for k in self._loaded if k[1] != image_px]:
                del self._loaded[key]  # one size in memory at a time
            self._loaded[split, image_px] = Pairs(
                self.folder, split, image_px, self.generated, device=self.worker.device
            )
        return self._loaded[split, image_px]

    def train_batches(self, phase: Phase) -> PairBatches:
        """Random views of the training pairs, `phase.batch` images over all workers."""
        px, moves = phase.image_px, self.augment.moves
        full = Pairs(self.folder, "train", px, self.generated, keep=False) if moves else None
        return PairBatches(
            full or self.pairs("train", px),
            phase.batch,
            self.seed,
            self.augment,
            self.worker,
            phase.samples_per_epoch,
        )

    def valid_batches(self, phase: Phase) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation pairs, the middle square of each."""
        return eval_batches(self.pairs("valid", phase.image_px), phase.batch, self.worker)


def epoch_batches(count: int, wanted: int, batch: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """`wanted` of `count` indices, shuffled, in batches; none repeats before all have been used."""
    rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    rounds = -(-wanted // count)
    order = torch.cat([torch.randperm(count, generator=rng) for _ in range(rounds)])
    return order[:wanted].split(batch)


def eval_batches(
    pairs: Pairs, batch: int, worker: Worker
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yields (crappy, good, weight) of every pair in order, weight = how many of them count."""
    for first in range(0, len(pairs), batch):
        indices = range(first, min(first + batch, len(pairs)))
        share, count = worker_slice(len(indices), worker.rank, worker.world)
        if pairs.kept is not None:
            mine = indices[share]
            columns: Iterable[Tensor] = pairs.kept[:, mine.start : mine.stop]
        else:
            columns = map(torch.stack, zip(*(pairs[i] for i in indices[share]), strict=True))
        x, y = (send(column, worker.device).float() / 255 for column in columns)
        yield x, y, count


def worker_slice(total: int, rank: int, world: int) -> tuple[slice, int]:
    """Which slice of `total` samples a worker takes, and how many of them count.

    A worker that would get none takes one that does not count: all workers must make the same
    steps, since they wait for each other's gradients.
    """
    first, last = (total * r // world for r in (rank, rank + 1))
    return slice(first, max(last, first + 1)) if first < total else slice(0, 1), last - first


def num_loader_workers() -> int:
    """How many processes decode pictures: LESSONPIPE_LOADERS, or one a core up to 8."""
    asked = environment().loaders
    return min(8, os.cpu_count() or 1) if asked is None else asked
