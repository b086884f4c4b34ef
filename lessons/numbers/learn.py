"""Teach a network to go on with words, ask it, and see where it errs."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Frozen, History, Terms, fit
from lessonpipe.train.place import Place
from lessons.numbers.data import Corpus
from lessons.numbers.streams import Reading, StreamData, cut
from lessons.numbers.words import KINDS, WORDS, kinds


@dataclass
class Reader:
    """A network that predicts words, taught by cross-entropy."""

    net: nn.Module

    def terms(self, x: Tensor, y: Tensor) -> Terms:
        """Cross-entropy of what it says after words `B T` and what comes next, `B T`."""
        scores, meant = self.said(x, y)
        return {"cross_entropy": F.cross_entropy(scores, meant)}

    def tested(self, x: Tensor, y: Tensor) -> tuple[Terms, Terms]:
        """That, and the share of words that is right."""
        scores, meant = self.said(x, y)
        right = (scores.argmax(1) == meant).float().mean()
        return {"cross_entropy": F.cross_entropy(scores, meant)}, {"accuracy": right}

    def said(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `N V` and the words meant, `N`; of a network that answers once, the last."""
        scores = self.net(x).float()
        return scores.flatten(0, -2), (y if scores.ndim == 3 else y[:, -1]).flatten()

    def groups(self) -> list[list[nn.Parameter]]:
        """All that learns."""
        return [list(self.net.parameters())]

    def freeze(self, frozen: Frozen) -> None:
        """Nothing was learnt before that could be kept."""


def taught(
    net: nn.Module, corpus: Corpus, phase: Reading, *, decay: float, seed: int
) -> tuple[History, float]:
    """Let a network go through `phase`: its history, and the seconds it took."""
    place = Place.here("fp32")  # so small a network gains nothing by less
    start = time.perf_counter()
    history = fit(
        Reader(net),
        [phase],
        streams(net, corpus, place),
        place,
        weight_decay=decay,
        seed=seed,
        checkpoint=Checkpoint(None),
    )
    return history, time.perf_counter() - start


def answers_once(net: nn.Module) -> bool:
    """Whether it predicts one word of all it gets, or one after each."""
    return bool(getattr(net, "answers_once", False))


def streams(net: nn.Module, corpus: Corpus, place: Place) -> StreamData:
    """The text as `net` reads it."""
    return StreamData(corpus.train, corpus.valid, place, rest=not answers_once(net))


@torch.no_grad()
def right(net: nn.Module, corpus: Corpus, phase: Reading) -> Tensor:
    """Which of the validation's words are right, `S T`, of a network that predicts every word."""
    place = Place.here("fp32")
    net.eval()
    batches = streams(net, corpus, place).valid(phase)
    said = [net(place.put(x)).argmax(2) == place.put(y) for x, y, _ in batches]
    return torch.cat(said, 1).cpu()


def by_kind(right: Tensor, corpus: Corpus) -> dict[str, float]:
    """The share of words that is right, `... S T`, by what they do in their numbers."""
    told = [KINDS.index(kind) for kind in kinds([WORDS[i] for i in corpus.valid.tolist()])]
    kind = cut(torch.tensor(told), right.shape[-2])[:, 1:].expand_as(right)
    return {
        name: float(right[kind == number].float().mean())
        for number, name in enumerate(KINDS)
        if (kind == number).any()
    }
