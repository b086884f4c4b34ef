"""One-cycle (Smith 2018) in fastai v1's numbers, AdamW, and rates that differ between groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import nn
from torch.optim import AdamW, Optimizer

from lessonpipe.config import MaxLR, Slice, StrictModel


class AdamWConfig(StrictModel):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017).

    `eps` must be small beside the gradients: losses on images are so small that fastai v2's 1e-5
    holds the steps back. v1 had torch's 1e-8. `beta1` is the momentum where no one-cycle moves it.
    """

    weight_decay: float = Field(0.01, ge=0)
    eps: float = Field(1e-8, gt=0)
    beta1: float = Field(0.95, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)


@dataclass(frozen=True)
class OneCycle:
    """Rate up by a cosine from max/25 over `pct_start` of the steps, then down to max/250,000.

    The momentum goes the other way, 0.95 -> 0.85 -> 0.95. fastai v2 differs in two numbers: it
    warms up for 0.25 of the steps and ends at max/100,000. torch's OneCycleLR has the same form
    but a state; this is a function of the step alone, so that resuming needs nothing.
    """

    steps: int
    pct_start: float = 0.3
    start: float = 25.0
    end: float = 25e4
    momenta: tuple[float, float] = (0.95, 0.85)

    def at(self, step: int) -> tuple[float, float]:
        """The share of the maximal rate, and the momentum, at a step counted from 0."""
        rise = int(self.steps * self.pct_start)
        high, low = self.momenta
        if step < rise:
            t = step / rise
            return _cosine(1 / self.start, 1.0, t), _cosine(high, low, t)
        t = (step - rise) / max(1, self.steps - rise)
        return _cosine(1.0, 1 / self.end, t), _cosine(low, high, t)

    def apply(self, optimizer: Optimizer, step: int) -> None:
        """Set rate and momentum of every group for `step`."""
        share, momentum = self.at(step)
        for group in optimizer.param_groups:
            group["lr"] = group["max_lr"] * share
            group["betas"] = (momentum, group["betas"][1])


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * t))


def layerwise_rates(lr: MaxLR, groups: int) -> list[float]:
    """One rate a parameter group: `(a, b)` spaced geometrically, one number the same for all.

    A `Slice` is its rate for the last group and a tenth of it for all others. Discriminative
    learning rates (Howard & Ruder 2018): fastai's `slice(a, b)`, plain number and `slice(b)`.
    """
    if isinstance(lr, Slice):
        return [lr.slice / 10] * (groups - 1) + [lr.slice]
    if isinstance(lr, int | float):
        return [float(lr)] * groups
    low, high = lr
    if groups == 1:
        return [high]
    return [low * (high / low) ** (i / (groups - 1)) for i in range(groups)]


def adamw(groups: Sequence[Sequence[nn.Parameter]], lr: MaxLR, config: AdamWConfig) -> AdamW:
    """AdamW over those parameters of `groups` that require gradients, each group with its rate.

    As in fastai v1 all of them decay; v2 spares biases and batch norms.
    """
    rates = layerwise_rates(lr, len(groups))
    trainable = [
        {"params": [p for p in group if p.requires_grad], "lr": rate, "max_lr": rate}
        for group, rate in zip(groups, rates, strict=True)
    ]
    trainable = [group for group in trainable if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for g in groups for p in g)
    betas = (config.beta1, config.beta2)
    return AdamW(
        trainable, weight_decay=config.weight_decay, betas=betas, eps=config.eps, fused=fused
    )


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Make what is random within a step (dropout) depend on seed, step and worker alone.

    So a resumed run draws what an uninterrupted one would have drawn. There is room for 4096
    workers; 1,000,003 is a prime, so that neighbouring seeds share no sequence.
    """
    torch.manual_seed((seed * 1_000_003 + step) * 4096 + rank)
