"""Learning-rate finder (Smith 2015): a short mock training with rising rates.

The numbers are fastai v2's: 100 steps from 1e-7 to 10, the loss smoothed with
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
from lessonpipe.train.fit import Batches, Data, P
from lessonpipe.train.learner import SupervisedLearner
from lessonpipe.train.schedule import adamw, seed_step

FEWEST_STEPS = 20  # of fewer, a curve says nothing


@dataclass
class Curve:
    """The rates that were tried, in rising order, and the smoothed loss after each."""

    steps: int
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def suggest(self) -> dict[str, float]:
        """Returns a rate by each method, from the part of the curve that says something.

        That is without the first tenth, where nothing moves yet, and the last five steps, where it
        diverges. Raises `UserError` when too little is left.
        """
        bad = next((i for i, loss in enumerate(self.losses) if math.isnan(loss)), len(self.losses))
        window = slice(self.steps // 10, min(bad, len(self.losses) - 5))
        rates, losses = self.rates[window], self.losses[window]
        if len(self.losses) < FEWEST_STEPS or len(losses) < 2:
            raise UserError(
                f"the loss diverged after {len(self.losses)} of {self.steps} steps, at a rate "
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
    learner: SupervisedLearner,
    data: Data[P],
    phase: P,
    worker: Worker,
    *,
    seed: int,
    steps: int = 100,
    rates: tuple[float, float] = (1e-7, 10.0),
) -> Curve:
    """Train for `steps` at the phase's size and batch, with rates from the lowest to the highest.

    All groups get the same rate. The network comes out as it went in.
    """
    low, high = rates
    learner.prepare(worker)
    learner.freeze(phase.frozen)
    net = learner.net
    before = copy.deepcopy(net.state_dict())
    optim = learner.optim.model_copy(update={"beta1": 0.9})
    learner.optimizer = adamw(learner.param_groups(), low, optim)
    batches = _endless(data.train_batches(phase))
    curve, mean, best = Curve(steps), 0.0, math.inf
    net.train()
    try:
        with torch.random.fork_rng():
            for step in progress_bar(range(steps), "try rates", total=steps, unit="step"):
                rate = low * (high / low) ** (step / steps)
                for group in learner.optimizer.param_groups:
                    group["lr"] = rate
                seed_step(seed, step)
                terms = learner.optimizer_step(*next(batches)).terms
                loss = float(torch.stack(list(terms.values())).detach().sum())
                mean = 0.98 * mean + 0.02 * loss
                smooth = mean / (1 - 0.98 ** (step + 1))
                best = min(best, smooth)
                curve.rates.append(rate)
                curve.losses.append(smooth)
                if not smooth <= 4 * best:  # NaN ends it, too
                    break
    finally:
        net.load_state_dict(before)
        net.eval()
        learner.optimizer.zero_grad(set_to_none=True)
    return curve


def _endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor, float]]:
    """One epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)
