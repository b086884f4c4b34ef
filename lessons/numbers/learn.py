"""Train a language model on the numbers, and find which words it gets wrong."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.device import Worker
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import History, fit
from lessonpipe.train.learner import LossTerms, SupervisedLearner
from lessonpipe.train.schedule import AdamWConfig
from lessons.numbers.data import Corpus
from lessons.numbers.streams import SequencePhase, StreamData, cut
from lessons.numbers.words import KINDS, WORDS, kinds


@dataclass
class LanguageModelLearner(SupervisedLearner):
    """A network that predicts words, trained by cross-entropy."""

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy of the predictions after words `B T` against what follows, `B T`."""
        scores, target = self.predictions(x, y)
        return {"cross_entropy": F.cross_entropy(scores, target)}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """Cross-entropy, and the share of words that is right."""
        scores, target = self.predictions(x, y)
        right = (scores.argmax(1) == target).float().mean()
        return {"cross_entropy": F.cross_entropy(scores, target)}, {"accuracy": right}

    def predictions(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `N V` and target words `N`; of a network that predicts once, the last alone."""
        scores = self.net(x).float()
        return scores.flatten(0, -2), (y if scores.ndim == 3 else y[:, -1]).flatten()


def build(
    net: nn.Module, corpus: Corpus, optim: AdamWConfig, seed: int
) -> tuple[LanguageModelLearner, StreamData, Worker]:
    """The network with its loss, the data, and the worker: all that a first step needs."""
    worker = Worker.current("fp32")  # bf16 is no faster for so small a network
    return LanguageModelLearner(net, optim), streams(net, corpus, worker, seed), worker


def train_network(
    net: nn.Module, corpus: Corpus, phase: SequencePhase, optim: AdamWConfig, *, seed: int
) -> tuple[History, float]:
    """Train a network through `phase`: its history, and the seconds it took."""
    start = time.perf_counter()
    learner, data, worker = build(net, corpus, optim, seed)
    history = fit(learner, [phase], data, worker, seed=seed, checkpoint=Checkpoint(None))
    return history, time.perf_counter() - start


def predicts_once(net: nn.Module) -> bool:
    """Whether a network predicts one word from all of its input, or one after each."""
    return bool(getattr(net, "predicts_once", False))


def streams(net: nn.Module, corpus: Corpus, worker: Worker, seed: int = 0) -> StreamData:
    """The text as `net` reads it; `seed` is of lengths that are drawn."""
    return StreamData(corpus.train, corpus.valid, worker, rest=not predicts_once(net), seed=seed)


@torch.no_grad()
def correct_words(net: nn.Module, corpus: Corpus, phase: SequencePhase) -> Tensor:
    """Which of the validation's words are right, `S T`, of a network that predicts every word."""
    worker = Worker.current("fp32")
    net.eval()
    batches = streams(net, corpus, worker).valid_batches(phase)
    predicted = [
        net(worker.batch_to_device(x)).argmax(2) == worker.batch_to_device(y) for x, y, _ in batches
    ]
    return torch.cat(predicted, 1).cpu()


def accuracy_by_kind(right: Tensor, corpus: Corpus) -> dict[str, float]:
    """The share of words that is right, `... S T`, by what they do in their numbers."""
    index = [KINDS.index(kind) for kind in kinds([WORDS[i] for i in corpus.valid.tolist()])]
    kind = cut(torch.tensor(index), right.shape[-2])[:, 1:].expand_as(right)
    return {
        name: float(right[kind == number].float().mean())
        for number, name in enumerate(KINDS)
        if (kind == number).any()
    }
