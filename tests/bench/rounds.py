"""Contests in rounds: everybody in turn, again and again, so that a busy moment hits all alike."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import torch

OURS = "ours"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass
class Row:
    """One contest: a value a round of each contestant, the lower the better; one is `OURS`."""

    part: str
    name: str
    unit: str
    values: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, peer: str) -> list[float]:
        """How many times ours the peer's value is, a round."""
        pairs = zip(self.values[peer], self.values[OURS], strict=True)
        return [theirs / ours for theirs, ours in pairs]

    def peers(self) -> list[str]:
        """Who is not ours."""
        return [name for name in self.values if name != OURS]

    def lines(self) -> list[str]:
        """For people: the medians, and each peer's ratio with its spread."""
        own = statistics.median(self.values[OURS])
        return [
            f"{self.part:9} {self.name:34} {peer:20} "
            f"{statistics.median(self.values[peer]):9.3f} / {own:8.3f} {self.unit:3} = "
            f"{statistics.median(self.ratios(peer)):6.2f} x "
            f"({min(self.ratios(peer)):.2f} to {max(self.ratios(peer)):.2f})"
            for peer in self.peers()
        ]

    def as_json(self) -> dict[str, Any]:
        """All that was measured."""
        summary = {
            peer: {
                "median": round(statistics.median(self.ratios(peer)), 3),
                "min": round(min(self.ratios(peer)), 3),
                "max": round(max(self.ratios(peer)), 3),
            }
            for peer in self.peers()
        }
        rounded = {k: [round(v, 4) for v in values] for k, values in self.values.items()}
        return {**asdict(self), "values": rounded, "ratios": summary}


def contest(
    part: str,
    name: str,
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: str = "wall",
) -> Row:
    """Time each contestant `rounds` times in seconds, after one that does not count."""
    now = CLOCKS[clock]
    row = Row(part, name, "s", {who: [] for who in contestants})
    for work in contestants.values():
        work()
    for number in range(rounds):
        order = list(contestants.items())
        for who, work in reversed(order) if number % 2 else order:
            start = now()
            work()
            row.values[who].append(now() - start)
    return row


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as stream:
            found = (line.split(":", 1)[1].strip() for line in stream if "model name" in line)
            name = next(found, name)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(load, 2) for load in os.getloadavg()],
        **{package: version(package) for package in ("torch", "fastai", "timm")},
    }
