"""The lesson's six networks, each one step on from the one before.

B streams, T words of each, H hidden, V words of the vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 64


class ElmanBase(nn.Module):
    """The layers of the first four: word to hidden, hidden to hidden, hidden to word."""

    predicts_once = False  # one word from all of the input, or one after each

    def __init__(self, vocabulary: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, hidden)
        self.step = nn.Linear(hidden, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.output = nn.Linear(hidden, vocabulary)

    def initial_state(self, x: Tensor) -> Tensor:
        """The hidden state before the first word."""
        return self.embed.weight.new_zeros(len(x), self.step.in_features)  # B H


class UnrolledRNN(ElmanBase):
    """Model 0: three steps written out; predicts the fourth word, `B 3 -> B V`.

    The lesson's left `step` out for the first word (`first_step=False`), so that its loop was not
    quite the same thing (the later book has it); without it one seed in three or so stays well
    below the others.
    """

    predicts_once = True

    def __init__(self, vocabulary: int, hidden: int = HIDDEN, *, first_step: bool = True) -> None:
        super().__init__(vocabulary, hidden)
        self.first_step = first_step

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.embed(x).unbind(1)  # B H each
        h = self.norm(F.relu(self.step(first) if self.first_step else first))
        h = self.norm(F.relu(self.step(h + second)))
        h = self.norm(F.relu(self.step(h + third)))
        return self.output(h)


class LoopedRNN(ElmanBase):
    """Model 1: the same for any number of words, `B T -> B V`."""

    predicts_once = True

    def forward(self, x: Tensor) -> Tensor:
        h = self.initial_state(x)
        for word in self.embed(x).unbind(1):
            h = self.norm(F.relu(self.step(h + word)))
        return self.output(h)


class SeqToSeqRNN(ElmanBase):
    """Model 2: predicts after every word, so that each of them teaches, `B T -> B T V`."""

    def forward(self, x: Tensor) -> Tensor:
        h, states = self.initial_state(x), []
        for word in self.embed(x).unbind(1):
            h = self.norm(F.relu(self.step(h + word)))
            states.append(h)
        return self.output(torch.stack(states, 1))


class Stateful(nn.Module):
    """Keeps its state from batch to batch; forgets it when training or validation starts."""

    state: Tensor | tuple[Tensor, ...] | None = None

    def train(self, mode: bool = True) -> "Stateful":
        """Set the mode, as before an epoch and before validation, and forget the state."""
        self.state = None
        return super().train(mode)


class StatefulRNN(Stateful, ElmanBase):
    """Model 3: the state is kept from batch to batch, without its gradient, `B T -> B T V`."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.state if isinstance(self.state, Tensor) else self.initial_state(x)
        states = []
        for word in self.embed(x).unbind(1):
            h = F.relu(self.step(h + word))
            states.append(h)
        self.state = h.detach()
        return self.output(normed(self.norm, torch.stack(states, 1)))


class TorchRNN(Stateful):
    """Models 4 and 5: the framework's cells in place of the loop, `B T -> B T V`.

    An RNN or GRU has one state, an LSTM two.

    `nn.RNN` has a tanh where the loop has a ReLU, and one matrix for the word and one for the
    state; with ReLU and both equal it is model 3.
    """

    def __init__(self, vocabulary: int, cell: nn.RNNBase) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, cell.input_size)
        self.cell = cell
        self.norm = nn.BatchNorm1d(cell.hidden_size)
        self.output = nn.Linear(cell.hidden_size, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        states, state = self.cell(self.embed(x), self.state)  # B T H, layers B H
        lstm = isinstance(state, tuple)
        self.state = tuple(part.detach() for part in state) if lstm else state.detach()
        return self.output(normed(self.norm, states))


def normed(norm: nn.BatchNorm1d, h: Tensor) -> Tensor:
    """Batch norm over streams and words alike: `B T H -> B T H`."""
    return norm(h.flatten(0, 1)).view_as(h)
