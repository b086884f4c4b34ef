"""What it means to fit a generator: a loss on its pictures, and an encoder that may be frozen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from lessonpipe.data.augment import Augment
from lessonpipe.data.manifest import Split
from lessonpipe.data.pairs import Batches, Pairs, eval_batches
from lessonpipe.device import Worker
from lessonpipe.metrics import psnr_metrics
from lessonpipe.nets import Generator
from lessonpipe.train.fit import Frozen, Phase


@dataclass
class GeneratorLearner:
    """A generator, the loss on its pictures, and whether the encoder's batch norms train."""

    net: Generator
    loss: Callable[[Tensor, Tensor], dict[str, Tensor]]
    train_bn: bool = False

    def loss_terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The terms of the loss for crappy `x` and good `y`, `B 3 H W` in 0...1."""
        return self.loss(self.net(x), y)

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The terms, and PSNR in dB with what it gains over the crappy picture."""
        made = self.net(x)
        return self.loss(made, y), psnr_metrics(made, x, y)

    def param_groups(self) -> list[list[nn.Parameter]]:
        """Early encoder, late encoder, decoder."""
        return self.net.unet.param_groups()

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the encoder."""
        self.net.encoder.freeze(frozen, train_bn=self.train_bn)


@dataclass
class PairData:
    """The pairs in a folder at any size, read once a size."""

    folder: Path
    augment: Augment
    seed: int
    worker: Worker
    generated: Path | None = None

    @cached_property
    def _read(self) -> dict[tuple[Split, int], Pairs]:
        return {}

    def pairs(self, split: Split, image_px: int) -> Pairs:
        """The pairs of one split at one size, read once."""
        if (split, image_px) not in self._read:
            for key in [k for k in self._read if k[1] != image_px]:
                del self._read[key]  # one size in memory at a time
            self._read[split, image_px] = Pairs(self.folder, split, image_px, self.generated)
        return self._read[split, image_px]

    def train_batches(self, phase: Phase) -> Batches:
        """Random views of the training pairs, `phase.batch` pictures over all workers."""
        return Batches(
            self.pairs("train", phase.image_px),
            phase.batch,
            self.seed,
            self.augment,
            self.worker.rank,
            self.worker.world,
            phase.pictures,
        )

    def valid_batches(self, phase: Phase) -> Iterator[tuple[Tensor, Tensor, float]]:
        """The validation pairs as they are."""
        pairs = self.pairs("valid", phase.image_px)
        return eval_batches(pairs, phase.batch, rank=self.worker.rank, world=self.worker.world)
