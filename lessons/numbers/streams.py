"""Streams of words that go on from batch to batch, and what should come next in each.

S streams of L words. The lesson's fastai drew the length of each batch at random around 20 (of 3
it did not), which `vary_seq_len` does.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.data.pairs import worker_slice
from lessonpipe.device import Worker

Item = tuple[Tensor, Tensor, float]


class SequencePhase(TrainPhase):
    """A schedule for `batch` streams, read `seq_len` words at a time.

    `vary_seq_len` draws the length of each training batch as fastai v1 did: around `seq_len`, or
    one time in twenty around half of it, with a deviation of 5, and at least 5.
    """

    seq_len: int = Field(ge=1)
    vary_seq_len: bool = False


def cut(ids: Tensor, streams: int) -> Tensor:
    """A text in so many equal parts, one below the other: `S L`; what is left over is left out."""
    length = len(ids) // streams
    return ids[: streams * length].view(streams, length)


@dataclass
class StreamBatches:
    """Training batches: every stream's next words, and the same moved on by one."""

    streams: Tensor
    seq_len: int
    worker: Worker
    rest: bool = False  # whether what is left over makes a last, shorter batch
    vary_seed: int | None = None  # of lengths that are drawn; None: all are `seq_len`

    @property
    def steps(self) -> int:
        """Steps an epoch; of lengths that are drawn the text may end some earlier."""
        whole, rest = divmod(self.streams.shape[1] - 1, self.seq_len)
        return whole + (self.rest and rest > 0)

    def epoch(self, epoch: int) -> Iterator[Item]:
        """Yields (input, target, weight), weight = this worker's share of the global batch."""
        share, count = worker_slice(len(self.streams), self.worker.rank, self.worker.world)
        first = 0
        for length in self._lengths(epoch):
            some = slice(first, first + length)
            x, y = self.streams[share, :-1][:, some], self.streams[share, 1:][:, some]
            if x.shape[1]:
                yield x, y, count / len(self.streams)
            first += length

    def _lengths(self, epoch: int) -> list[int]:
        if self.vary_seed is None:
            return [self.seq_len] * self.steps
        rng = random.Random(self.vary_seed * 1_000_003 + epoch)
        means = [self.seq_len / (1 if rng.random() < 0.95 else 2) for _ in range(self.steps)]
        return [max(5, int(rng.gauss(mean, 5))) for mean in means]


@dataclass
class StreamData:
    """Both sides of the text, as word numbers.

    `rest` is whether a shorter last batch is of use in validation: not for networks that need so
    many words to predict one.
    """

    train_ids: Tensor
    valid_ids: Tensor
    worker: Worker
    rest: bool = True
    seed: int = 0

    def train_batches(self, phase: SequencePhase) -> StreamBatches:
        """The training side, `phase.batch` streams over all workers."""
        return StreamBatches(
            self.cut(self.train_ids, phase),
            phase.seq_len,
            self.worker,
            vary_seed=self.seed if phase.vary_seq_len else None,
        )

    def valid_batches(self, phase: SequencePhase) -> Iterator[Item]:
        """The validation side once, in as many streams; every prediction counts alike."""
        streams = self.cut(self.valid_ids, phase)
        batches = StreamBatches(streams, phase.seq_len, self.worker, self.rest)
        for x, y, _ in batches.epoch(0):
            yield x, y, y.numel()

    def cut(self, ids: Tensor, phase: SequencePhase) -> Tensor:
        """A side as streams on the device."""
        return cut(ids, phase.batch).to(self.worker.device)
