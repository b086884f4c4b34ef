"""Find a learning rate by trying them all (Smith 2015): a short mock training with rising rates.

Knows torch only. The numbers are fastai v2's: 100 steps from 1e-7 to 10, the loss smoothed with
beta 0.98, the end when it is over four times its best.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lessonpipe.device import Worker
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar
from lessonpipe.train.fit import Batches, Data, Learner, P, train_step
from lessonpipe.train.schedule import adamw, seed_step

FEWEST = 20  # steps without which a curve says nothing


@dataclass
class Curve:
    """The rates that were tried, in rising order, and the smoothed loss after each."""

    steps: int
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def suggest(self) -> dict[str, float]:
        """A rate by each method, from the part of the curve that tells something.

        That is without the first tenth, where nothing moves yet, and the last five, where it
        flies apart. Raises `UserError` when too little is left.
        """
        bad = next((i for i, loss in enumerate(self.losses) if math.isnan(loss)), len(self.losses))
        kept = slice(self.steps // 10, min(bad, len(self.losses) - 5))
        rates, losses = self.rates[kept], self.losses[kept]
        if len(self.losses) < FEWEST or len(losses) < 2:
            raise UserError(
                f"the loss flew apart after {len(self.losses)} of {self.steps} steps, at a rate "
                f"of {self.rates[-1]:.1e}: too early to suggest one; look at the pictures and "
                "the loss's weights"
            )
        return {name: method(rates, losses) for name, method in METHODS.items()}


def valley(rates: list[float], losses: list[float]) -> float:
    """Half-way down the longest run of falling losses (not all neighbours): where it learns best.

    The run counts by the number of its losses, its place in the curve by its end, and the rate
    is that after the first half of its middle third.
    """
    values = np.asarray(losses)
    longest = np.ones(len(values), dtype=int)  # of the falling runs that end here
    for i in range(1, len(values)):
        longest[i] += longest[:i][values[:i] > values[i]].max(initial=0)
    end = int(longest.argmax())
    length = int(longest[end]) if end else 0
    third = length / 3
    return rates[end - length + int(third) + int(third / 2)]


def steep(rates: list[float], losses: list[float]) -> float:
    """Where the loss falls fastest over the logarithm of the rate."""
    slopes = np.diff(losses) / np.diff(np.log(rates))
    return rates[int(slopes.argmin())]


METHODS: dict[str, Callable[[list[float], list[float]], float]] = {"valley": valley, "steep": steep}


def lr_find(
    learner: Learner,
    data: Data[P],
    phase: P,
    worker: Worker,
    *,
    weight_decay: float,
    seed: int,
    steps: int = 100,
    low: float = 1e-7,
    high: float = 10.0,
) -> Curve:
    """Train for `steps` at the phase's size and batch, with rates from `low` up to `high`.

    All groups get the same rate. The network comes out as it went in.
    """
    net = worker.prepare(learner.net)
    learner.freeze(phase.frozen)
    before = copy.deepcopy(net.state_dict())
    optimizer = adamw(learner.param_groups(), low, weight_decay=weight_decay, betas=(0.9, 0.99))
    batches = _endless(data.train_batches(phase))
    curve, mean, best = Curve(steps), 0.0, math.inf
    net.train()
    try:
        with torch.random.fork_rng():
            for step in progress_bar(range(steps), "try rates", total=steps, unit="step"):
                rate = low * (high / low) ** (step / steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                seed_step(seed, step)
                terms = train_step(learner, optimizer, *next(batches), worker)
                loss = float(torch.stack(list(terms.values())).detach().sum())
                mean = 0.98 * mean + 0.02 * loss
                smooth = mean / (1 - 0.98 ** (step + 1))
                best = min(best, smooth)
                curve.rates.append(rate)
                curve.losses.append(smooth)
                if not smooth <= 4 * best:  # no number ends it, too
                    break
    finally:
        net.load_state_dict(before)
        net.eval()
        optimizer.zero_grad(set_to_none=True)
    return curve


def _endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor, float]]:
    """One epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)
