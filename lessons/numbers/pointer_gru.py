"""The best small network here: a GRU that looks back, and may copy the word it finds.

A GRU has to carry "eight thousand" along, which it never saw; what is looked up where it was said
need not be carried. The mixture of saying and copying
is a pointer network's (Merity et al. 2017), the keys are a neural cache's (Grave et al. 2017): what
the state was *before* each word, so that a state like the present one finds what came next then.

B streams, T words of each, N words in sight, H hidden, V words of the vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lessons.numbers.nets import HIDDEN, Stateful


class Memory(NamedTuple):
    """What is kept of a stream: the GRU's state, the last words, and the states before them."""

    cell: Tensor  # 1 B H
    words: Tensor  # B M
    before: Tensor  # B M H


class PointerGRU(Stateful):
    """After every word, log-probabilities of the next, `B T -> B T V`.

    `memory` is how many words it looks back; `copy` false lets it only say what it has learnt to.
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
        self.nearness = nn.Parameter(torch.zeros(memory + 1))
        self.mix = nn.Linear(2 * hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(dropout)
        self.answer = nn.Linear(hidden, vocabulary)
        self.copies = nn.Linear(hidden, 1)

    def train(self, mode: bool = True) -> "PointerGRU":
        """Before an epoch and before validation: forget the streams that were read."""
        self.past = None
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Go on from what was read before."""
        past = self._nothing(x) if self.past is None else self.past
        after, cell = self.cell(self.drop(self.embed(x)), past.cell)  # B T H
        before = torch.cat([past.before, past.cell[-1][:, None], after[:, :-1]], 1)  # B N H
        words = torch.cat([past.words, x], 1)  # B N
        kept = max(0, words.shape[1] - self.memory)
        self.past = Memory(cell.detach(), words[:, kept:], before[:, kept:].detach())

        looks = self.looks(after, before)  # B T N
        found = looks @ self.value(self.embed(words))  # B T H
        thought = torch.tanh(self.mix(torch.cat([after, found], 2)))
        thought = self.norm(self.drop(thought))
        says = self.answer(thought).log_softmax(2)  # B T V
        if not self.copy:
            return says
        where = words[:, None].expand_as(looks)
        copied = torch.zeros_like(says).scatter_add(2, where, looks)
        share = self.copies(thought).sigmoid()  # B T 1
        return ((1 - share) * says.exp() + share * copied + 1e-8).log()

    def looks(self, after: Tensor, before: Tensor) -> Tensor:
        """How much of the attention after each word is on each word in sight, `B T N`."""
        t, n = after.shape[1], before.shape[1]
        scores = self.query(after) @ self.key(before).mT / after.shape[2] ** 0.5
        here = torch.arange(n - t, n, device=after.device)
        back = here[:, None] - torch.arange(n, device=after.device)  # T N, words back
        unseen = (back < 0) | (back > self.memory)
        scores = scores + self.nearness[back.clamp(0, self.memory)]
        return scores.masked_fill(unseen, float("-inf")).softmax(2)

    def _nothing(self, x: Tensor) -> Memory:
        state = self.embed.weight.new_zeros(1, len(x), self.cell.hidden_size)
        return Memory(state, x[:, :0], state[0][:, None][:, :0])
