"""A network by its name."""

from typing import Literal

from torch import nn

from lessons.numbers import nets
from lessons.numbers.pointer_gru import PointerGRU
from lessons.numbers.words import WORDS

Kind = Literal[
    "unrolled",
    "unrolled without first step",
    "loop",
    "seq2seq",
    "stateful",
    "rnn",
    "gru",
    "lstm",
    "one gru",
    "pointer gru without copy",
    "pointer gru",
]


RENAMED: dict[str, Kind] = {
    "every word": "seq2seq",
    "kept state": "stateful",
    "looking, not copying": "pointer gru without copy",
    "looking back": "pointer gru",
}


def build(kind: Kind, dropout: float = 0.0) -> nn.Module:
    """One of the lesson's networks, one GRU alone, or the pointer GRU with or without copying.

    `dropout` is for pointer GRUs. Model folders made before 0.2 have other names for four of them.
    """
    kind = RENAMED.get(kind, kind)
    v, h = len(WORDS), nets.HIDDEN
    match kind:
        case "unrolled":
            return nets.UnrolledRNN(v)
        case "unrolled without first step":
            return nets.UnrolledRNN(v, first_step=False)
        case "loop":
            return nets.LoopedRNN(v)
        case "seq2seq":
            return nets.SeqToSeqRNN(v)
        case "stateful":
            return nets.StatefulRNN(v)
        case "rnn":
            return nets.TorchRNN(v, nn.RNN(h, h, batch_first=True))
        case "gru":
            return nets.TorchRNN(v, nn.GRU(h, h, 2, batch_first=True))
        case "lstm":
            return nets.TorchRNN(v, nn.LSTM(h, h, 2, batch_first=True))
        case "one gru":
            return nets.TorchRNN(v, nn.GRU(h, h, batch_first=True))
        case "pointer gru without copy":
            return PointerGRU(v, copy=False, dropout=dropout)
        case "pointer gru":
            return PointerGRU(v, dropout=dropout)
