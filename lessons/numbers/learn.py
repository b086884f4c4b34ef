"""Teach a network to go on with words, ask it, and see where it errs."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.device import Worker
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Frozen, History, LossTerms, fit
from lessons.numbers.data import Corpus
from lessons.numbers.streams import SequencePhase, StreamData, cut
from lessons.numbers.words import KINDS, WORDS, kinds


@dataclass
class LanguageModelLearner:
    """A network that predicts words, taught by cross-entropy."""

    net: nn.Module

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy of what it says after words `B T` and what comes next, `B T`."""
        scores, meant = self.said(x, y)
        return {"cross_entropy": F.cross_entropy(scores, meant)}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, LossTerms]:
        """That, and the share of words that is right."""
        scores, meant = self.said(x, y)
        right = (scores.argmax(1) == meant).float().mean()
        return {"cross_entropy": F.cross_entropy(scores, meant)}, {"accuracy": right}

    def said(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `N V` and the words meant, `N`; of a network that answers once, the last."""
        scores = self.net(x).float()
        return scores.flatten(0, -2), (y if scores.ndim == 3 else y[:, -1]).flatten()

    def param_groups(self) -> list[list[nn.Parameter]]:
        """All that learns."""
        return [list(self.net.parameters())]

    def freeze(self, frozen: Frozen) -> None:
        """Nothing was learnt before that could be kept."""


def train_network(
    net: nn.Module, corpus: Corpus, phase: SequencePhase, *, decay: float, seed: int
) -> tuple[History, float]:
    """Let a network go through `phase`: its history, and the seconds it took."""
    worker = Worker.current("fp32")  # so small a network gains nothing by less
    start = time.perf_counter()
    history = fit(
        LanguageModelLearner(net),
        [phase],
        streams(net, corpus, worker),
        worker,
        weight_decay=decay,
        seed=seed,
        checkpoint=Checkpoint(None),
    )
    return history, time.perf_counter() - start


def predicts_once(net: nn.Module) -> bool:
    """Whether it predicts one word of all it gets, or one after each."""
    return bool(getattr(net, "answers_once", False))


def streams(net: nn.Module, corpus: Corpus, worker: Worker) -> StreamData:
    """The text as `net` reads it."""
    return StreamData(corpus.train, corpus.valid, worker, rest=not predicts_once(net))


@torch.no_grad()
def correct_words(net: nn.Module, corpus: Corpus, phase: SequencePhase) -> Tensor:
    """Which of the validation's words are right, `S T`, of a network that predicts every word."""
    worker = Worker.current("fp32")
    net.eval()
    batches = streams(net, corpus, worker).valid_batches(phase)
    said = [
        net(worker.batch_to_device(x)).argmax(2) == worker.batch_to_device(y) for x, y, _ in batches
    ]
    return torch.cat(said, 1).cpu()


def accuracy_by_kind(right: Tensor, corpus: Corpus) -> dict[str, float]:
    """The share of words that is right, `... S T`, by what they do in their numbers."""
    told = [KINDS.index(kind) for kind in kinds([WORDS[i] for i in corpus.valid.tolist()])]
    kind = cut(torch.tensor(told), right.shape[-2])[:, 1:].expand_as(right)
    return {
        name: float(right[kind == number].float().mean())
        for number, name in enumerate(KINDS)
        if (kind == number).any()
    }
