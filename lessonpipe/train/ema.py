"""The mean of what a network was in its last steps, which is often better than the last."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """The exponential mean of a network's weights; with `decay` 0 the weights themselves."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {}
        if decay:
            self.weights = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, seen: int | None = None) -> None:
        """Move a step towards the network as it is now.

        A network that started from nothing has `seen` so many steps before: the fewer they are,
        the less far the mean looks back.
        """
        decay = self.decay if seen is None else min(self.decay, (1 + seen) / (10 + seen))
        now = net.state_dict() if self.weights else {}
        for name, value in now.items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)

    def copy_to(self, net: nn.Module) -> None:
        """Give the mean weights to the network."""
        if self.weights:
            net.load_state_dict(self.weights)

    @contextmanager
    def applied_to(self, net: nn.Module) -> Iterator[None]:
        """Within the block the network has the mean weights."""
        own = {k: v.detach().clone() for k, v in net.state_dict().items() if self.weights}
        self.copy_to(net)
        try:
            yield
        finally:
            if own:
                net.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return self.weights

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.weights = {k: v.to(self.weights[k].device) for k, v in state.items()}
