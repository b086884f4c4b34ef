"""Teach a network to go on with words, ask it, and see where it errs."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import History, Terms, fit
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

    def freeze(self, frozen: bool) -> None:
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


def streams(net: nn.Module, corpus: Corpus, place: Place) -> StreamData:
    """The text as `net` reads it."""
    rest = not getattr(net, "answers_once", False)
    return StreamData(corpus.train, corpus.valid, place, rest)


@torch.no_grad()
def by_kind(net: nn.Module, corpus: Corpus, phase: Reading) -> dict[str, float]:
    """The share of the validation's words that is right, by what they do in their numbers.

    Nothing for a network that does not predict every word.
    """
    if getattr(net, "answers_once", False):
        return {}
    place = Place.here("fp32")
    net.eval()
    said = [net(place.put(x)) for x, _, _ in streams(net, corpus, place).valid(phase)]
    told = torch.cat([scores.argmax(2) for scores in said], 1).cpu()  # S T
    kind = cut(torch.tensor(kind_numbers(corpus.valid)), phase.batch)[:, 1 : told.shape[1] + 1]
    right = told == cut(corpus.valid, phase.batch)[:, 1 : told.shape[1] + 1]
    return {
        name: float(right[kind == number].float().mean())
        for number, name in enumerate(KINDS)
        if (kind == number).any()
    }


def kind_numbers(ids: Tensor) -> list[int]:
    """What each word of a text does in its number, as its place in `KINDS`."""
    return [KINDS.index(kind) for kind in kinds([WORDS[i] for i in ids.tolist()])]


def mean(shares: list[dict[str, float]]) -> dict[str, float]:
    """Over the seeds."""
    return {kind: sum(one[kind] for one in shares) / len(shares) for kind in shares[0]}
