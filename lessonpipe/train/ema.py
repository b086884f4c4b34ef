"""EMA: the exponential moving average of a network's weights, often better than the last ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class EMA:
    """The average of weights and buffers over the last 1 / (1 - `decay`) steps or so.

    With `decay` 0 there is none, and nothing here does anything. `warmup` averages over fewer steps
    at first, by min(decay, (1 + n) / (10 + n)) as in TensorFlow: a network that starts untrained
    should forget where it came from, one that starts trained has nothing to forget.
    """

    def __init__(self, net: nn.Module, decay: float, *, warmup: bool = False) -> None:
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self.average: AveragedModel | None = None
        if decay:
            self.average = AveragedModel(net, multi_avg_fn=self._lerp, use_buffers=True)
            # torch replaces the average at the first update; here it counts from the start
            self.average.n_averaged.fill_(1)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Average the network's weights in, after a step."""
        if self.average is not None:
            self.average.update_parameters(net)
            self.updates += 1

    def _lerp(self, averages: Sequence[Tensor], values: Sequence[Tensor], _: Tensor | int) -> None:
        n = self.updates  # torch's own count would be fetched from the device at every step
        decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
        for average, value in zip(averages, values, strict=True):
            if value.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

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
