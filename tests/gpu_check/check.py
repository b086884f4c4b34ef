"""What the parts of the check share: the machine, how far it is cut, and what a case found."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Check:
    """Where it runs, and until when. `tiny` is for a CPU: everything, as small as it can be."""

    device: torch.device
    tiny: bool
    end: float  # of time.monotonic()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    def wait(self) -> float:
        """Wait for the device; returns the time in seconds."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class Result:
    """What a case found, for people and as numbers, and whether it is as it should be."""

    text: str
    values: dict[str, Any] = field(default_factory=dict)
    ok: bool = True


Case = tuple[str, Callable[[], Result]]  # a name, and what finds out; run before the next is asked
