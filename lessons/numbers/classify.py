"""A language model's body under a classification head: how many tens a written number has.

The lecturer's suggestion for the RNN, and ULMFiT's form (Howard & Ruder 2018): what was learnt from
text without labels is to save labels.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import Frozen, TrainPhase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit, last_row
from lessonpipe.train.schedule import AdamWConfig
from lessons.numbers.learn import LanguageModelLearner
from lessons.numbers.nets import TorchRNN
from lessons.numbers.words import IDS, LARGEST, START, spell

PAD, TENS = IDS["xxpad"], 10  # the classes: 2 for "eight thousand twenty three", 0 for "nine"
LENGTH = 7  # of the longest, "xxbos one thousand one hundred twenty one"


class Classify(TrainPhase):
    """The schedule of the head, and of the body unless it is `frozen`, on `labelled` numbers."""

    labelled: int = Field(ge=1)


class NumberClassifier(nn.Module):
    """Words of numbers, padded behind, to scores of their tens: `B T -> B 10`.

    Like ULMFiT's head it sees the last state, and the mean and the maximum over all.
    """

    def __init__(self, body: TorchRNN) -> None:
        super().__init__()
        self.embed, self.cell = body.embed, body.cell
        width = 3 * body.cell.hidden_size
        self.head = nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(0.1), nn.Linear(width, TENS))

    def forward(self, x: Tensor) -> Tensor:
        """The scores."""
        states, _ = self.cell(self.embed(x))  # B T H
        words = (x != PAD)[..., None]
        counts = words.sum(1)  # B 1
        last = states.gather(1, (counts - 1)[..., None].expand(-1, 1, states.shape[2]))[:, 0]
        mean = (states * words).sum(1) / counts
        largest = states.masked_fill(~words, -torch.inf).amax(1)
        return self.head(torch.cat([last, mean, largest], 1))


class ClassifierLearner(LanguageModelLearner):
    """Trains a `NumberClassifier`, or its head alone."""

    def freeze(self, frozen: Frozen) -> None:
        """Freeze the body, or nothing."""
        for part in (self.net.embed, self.net.cell):
            part.requires_grad_(not frozen)


def numbers(which: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers `N` as texts, padded behind, and their tens: `N 7`, `N 1`."""
    words = torch.full((len(which), LENGTH), PAD)
    for row, number in zip(words, which.tolist(), strict=True):
        ids = [IDS[word] for word in [START, *spell(number)]]
        row[: len(ids)] = torch.tensor(ids)
    return words, (which // 10 % 10)[:, None]


def tens_accuracy(
    body: TorchRNN, phase: Classify, optim: AdamWConfig, *, seen: int, seed: int
) -> float:
    """The share of the numbers after `seen` whose tens are told right, after training.

    The seed chooses the labelled ones among 1...seen.
    """
    worker = Worker.current("fp32")
    torch.manual_seed(seed)
    learner = ClassifierLearner(NumberClassifier(body), optim)
    chosen = torch.randperm(seen)[: phase.labelled] + 1
    data = TensorData(numbers(chosen), numbers(torch.arange(seen + 1, LARGEST + 1)), seed, worker)
    history = fit(learner, [phase], data, worker, seed=seed, checkpoint=Checkpoint(None))
    return last_row(history).get("valid_accuracy", 0.0)
