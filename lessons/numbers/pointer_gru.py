"""The best small network here: a GRU with a pointer into the words it read, which it may copy.

A GRU has to carry "eight thousand" along, which it never saw; what can be looked up need not be
carried. The mixture of generating and copying is that of pointer sentinel networks (Merity et al.
2017), the keys are those of a neural cache (Grave et al. 2017): the state *before* each word, so
that a state like the present one finds what came next then.

B streams, T words of each, N words in sight, H hidden, V words of the vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lessons.numbers.nets import HIDDEN, Stateful


class Memory(NamedTuple):
    """What of a stream is remembered: the GRU's state, the last words, the states before them."""

    cell: Tensor  # 1 B H
    words: Tensor  # B M
    before: Tensor  # B M H


class PointerGRU(Stateful):
    """After every word, log-probabilities of the next, `B T -> B T V`.

    `memory` is how many words back it attends to; without `copy` it only generates.
    """

    past: Memory | None = None

    def __init__(
        self,
        vocabulary: int,
        hidden: int = HIDDEN,
        *,
        memory: int = 24,
        copy: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.memory, self.copy = memory, copy
        self.embed = nn.Embedding(vocabulary, hidden)
        self.cell = nn.GRU(hidden, hidden, batch_first=True)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.relative_bias = nn.Parameter(torch.zeros(memory + 1))
        self.mix = nn.Linear(2 * hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary)
        self.copy_gate = nn.Linear(hidden, 1)

    def train(self, mode: bool = True) -> "PointerGRU":
        """Set the mode, as before an epoch and before validation, and forget the streams."""
        self.past = None
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Go on from what was read before."""
        past = self._empty(x) if self.past is None else self.past
        after, cell = self.cell(self.drop(self.embed(x)), past.cell)  # B T H
        before = torch.cat([past.before, past.cell[-1][:, None], after[:, :-1]], 1)  # B N H
        words = torch.cat([past.words, x], 1)  # B N
        first = max(0, words.shape[1] - self.memory)
        self.past = Memory(cell.detach(), words[:, first:], before[:, first:].detach())

        attention = self.attention_weights(after, before)  # B T N
        found = attention @ self.value(self.embed(words))  # B T H
        mixed = torch.tanh(self.mix(torch.cat([after, found], 2)))
        mixed = self.norm(self.drop(mixed))
        log_probs = self.output(mixed).log_softmax(2)  # B T V
        if not self.copy:
            return log_probs
        where = words[:, None].expand_as(attention)
        copied = torch.zeros_like(log_probs).scatter_add(2, where, attention)
        gate = self.copy_gate(mixed).sigmoid()  # B T 1
        return ((1 - gate) * log_probs.exp() + gate * copied + 1e-8).log()

    def attention_weights(self, after: Tensor, before: Tensor) -> Tensor:
        """The attention after each word on each word in sight: `B T H, B N H -> B T N`."""
        t, n = after.shape[1], before.shape[1]
        scores = self.query(after) @ self.key(before).mT / after.shape[2] ** 0.5
        here = torch.arange(n - t, n, device=after.device)
        back = here[:, None] - torch.arange(n, device=after.device)  # T N, words back
        unseen = (back < 0) | (back > self.memory)
        scores = scores + self.relative_bias[back.clamp(0, self.memory)]
        return scores.masked_fill(unseen, float("-inf")).softmax(2)

    def _empty(self, x: Tensor) -> Memory:
        state = self.embed.weight.new_zeros(1, len(x), self.cell.hidden_size)
        return Memory(state, x[:, :0], state[0][:, None][:, :0])
