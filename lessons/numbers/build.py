"""A network by its name."""

from typing import Literal

from torch import nn

from lessons.numbers import nets
from lessons.numbers.pointer_gru import PointerGRU
from lessons.numbers.words import WORDS

Kind = Literal[
    "unrolled",
    "loop",
    "every word",
    "kept state",
    "rnn",
    "gru",
    "one gru",
    "looking, not copying",
    "looking back",
]


def build(kind: Kind, dropout: float = 0.0) -> nn.Module:
    """One of the lesson's six networks; or the one that looks back, whole or without a part.

    `dropout` is for those that look back.
    """
    v, h = len(WORDS), nets.HIDDEN
    match kind:
        case "unrolled":
            return nets.UnrolledRNN(v)
        case "loop":
            return nets.LoopedRNN(v)
        case "every word":
            return nets.SeqToSeqRNN(v)
        case "kept state":
            return nets.StatefulRNN(v)
        case "rnn":
            return nets.TorchRNN(v, nn.RNN(h, h, batch_first=True))
        case "gru":
            return nets.TorchRNN(v, nn.GRU(h, h, 2, batch_first=True))
        case "one gru":
            return nets.TorchRNN(v, nn.GRU(h, h, batch_first=True))
        case "looking, not copying":
            return PointerGRU(v, copy=False, dropout=dropout)
        case "looking back":
            return PointerGRU(v, dropout=dropout)
