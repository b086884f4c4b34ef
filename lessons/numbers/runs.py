"""The trainings of numbers: the course's networks, and ones that look back."""

from pydantic import Field

from lessons.numbers.build import Kind
from lessons.numbers.streams import SequencePhase
from lessons.sweep import SweepRun

TITLES: dict[Kind, str] = {
    "unrolled": "0: three steps written out",
    "unrolled without first step": "0: three steps written out, none for the first word",
    "loop": "1: the same as a loop",
    "seq2seq": "2: predicts after every word",
    "stateful": "3: keeps its state",
    "rnn": "4: the framework's RNN",
    "gru": "5: two-layer GRU",
    "lstm": "two-layer LSTM",
    "one gru": "one GRU",
    "pointer gru without copy": "one GRU that looks back",
    "pointer gru": "one GRU that looks back and copies",
}


class Run(SweepRun, SequencePhase):
    """One network and its schedule."""

    net: Kind
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def system(self) -> str:
        """The network's title in tables."""
        return TITLES[self.net]
