"""EMA: the exponential moving average of a network's weights, often better than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class EMA:
    """The average of weights and buffers over the last 1 / (1 - `decay`) steps or so.

    With `decay` 0 there is none, and nothing here does anything. `warmup` averages over fewer steps
    at first, by min(decay, (1 + n) / (10 + n)) as in TensorFlow: a network that starts untrained
    should forget where it came from, one that starts trained has nothing to forget.
    """

    def __init__(self, net: nn.Module, decay: float, *, warmup: bool = False) -> None:
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.average: Any = None
        if decay:
            from timm.utils import ModelEmaV3  # loads all of timm

            # not torch's AveragedModel: its count goes to the GPU at every step, which waits for it
            self.average = ModelEmaV3(net)

    def update(self, net: nn.Module) -> None:
        """Average the network's weights in, after a step."""
        if self.average is not None:
            n = self.updates
            self.average.decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
            self.average.update(net)
            self.updates += 1

    def copy_to(self, net: nn.Module) -> None:
        """Load the average into the network."""
        if self.average is not None:
            net.load_state_dict(self.average.module.state_dict())

    @contextmanager
    def applied_to(self, net: nn.Module) -> Iterator[None]:
        """Within the block the network has the average weights."""
        before = {k: v.detach().clone() for k, v in net.state_dict().items() if self.average}
        self.copy_to(net)
        try:
            yield
        finally:
            if before:
                net.load_state_dict(before)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        if self.average is None:
            return {}
        return {"average": self.average.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.updates = state["updates"]
