"""What it means to fit a segmenter: cross-entropy over all pixels, accuracy without void ones."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.config import Frozen
from lessonpipe.device import Worker
from lessonpipe.train.learner import LossTerms, SupervisedLearner
from lessons.streets.classes import NAMES, VOID
from lessons.streets.data import Pair, eval_batches
from lessons.streets.nets import Segmenter


@dataclass
class SegmenterLearner(SupervisedLearner):
    """A segmenter, and whether the batch norms of its encoder train."""

    net: Segmenter
    train_bn: bool = False

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy for photos `B 3 H W` and classes `B H W`, of which void is one."""
        return {"entropy": entropy(self.net(x), y)}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The term, and the accuracy over pixels that are not void.

        Batches are averaged, as in fastai v1; the result's accuracy is over all pixels at once.
        """
        scores = self.net(x)
        return {"entropy": entropy(scores, y)}, {
            "accuracy": accuracy(confusion(predict(scores), y))
        }

    def param_groups(self) -> list[list[nn.Parameter]]:
        """Early encoder, late encoder, decoder."""
        return self.net.unet.param_groups()

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the encoder."""
        self.net.unet.encoder.freeze(frozen, train_bn=self.train_bn)


def entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Mean over all pixels, void ones too, as in the lesson: `B 12 H W`, `B H W`."""
    return F.cross_entropy(scores.float(), y)


def predict(scores: Tensor) -> Tensor:
    """The likeliest of all twelve classes of every pixel: `B 12 H W -> B H W`."""
    return scores.argmax(1)


def confusion(made: Tensor, y: Tensor) -> Tensor:
    """How many pixels of each class (rows) were taken for which (columns), void ones left out."""
    counted = y != VOID
    pairs = y[counted] * len(NAMES) + made[counted]
    return torch.bincount(pairs, minlength=len(NAMES) ** 2).view(len(NAMES), len(NAMES))


def accuracy(counts: Tensor) -> Tensor:
    """The share of the pixels that are not void that got the right class; void is a wrong one."""
    return counts.diagonal().sum().double() / counts.sum().clamp(min=1)


def ious(counts: Tensor) -> Tensor:
    """Intersection over union of every class but void; no number where a class is nowhere."""
    hits = counts.diagonal()[:VOID].double()
    union = (counts.sum(0) + counts.sum(1))[:VOID].double() - hits
    return hits / union


def by_class(ious: Tensor) -> dict[str, float]:
    """The same by the classes' names, without those that are nowhere."""
    named = zip(NAMES[:VOID], ious.tolist(), strict=True)
    return {name: value for name, value in named if not math.isnan(value)}


@torch.inference_mode()
def confusion_matrix(net: Segmenter, pair: Pair, batch: int, worker: Worker) -> Tensor:
    """The confusion over a whole side."""
    net.eval()
    counts = torch.zeros(len(NAMES), len(NAMES), dtype=torch.long)
    alone = Worker(worker.device, worker.dtype)
    for x, y, _ in eval_batches(pair, batch, alone):
        with alone.autocast():
            scores = net(alone.batch_to_device(x))
        counts += confusion(predict(scores), alone.batch_to_device(y)).cpu()
    return counts


@torch.inference_mode()
def predict_masks(net: Segmenter, photos: Tensor, worker: Worker) -> Iterator[Tensor]:
    """The classes, `H W` bytes, of photos `N 3 H W` bytes, one after the other."""
    net.eval()
    for x in photos:
        with worker.autocast():
            yield (
                predict(net(worker.batch_to_device(x[None].float() / 255)))[0].to(torch.uint8).cpu()
            )
