"""Filling holes of an image from around them, without anything to learn."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5  # from as far as 32 pixels and some
LEAST = 1e-4  # weight of a pixel that is masked altogether: where all are, their mean is left


def push_pull(x: Tensor, weight: Tensor) -> Tensor:
    """Fill in where `weight` is low from where it is high: `B C H W, B 1 H W -> B C H W`.

    Means by weight over 2, 4, ... `2**LEVELS` pixels; from coarse to fine, each level takes from
    the coarser one what its own pixels lack in weight (Gortler et al. 1996, The Lumigraph). Where
    the weight is 1 the result is `x`. Weights are of 0...1; differentiable in both.
    """
    weight = weight.clamp(min=LEAST)
    sums, weights = x * weight, weight
    levels = [(x, weight)]
    for _ in range(LEVELS):
        sums, weights = (F.avg_pool2d(part, 2, ceil_mode=True) for part in (sums, weights))
        # one good pixel of four knows the color of all
        levels.append((sums / weights, (4 * weights).clamp(max=1)))
    filled, _ = levels.pop()
    for mean, own in reversed(levels):
        around = F.interpolate(filled, mean.shape[-2:], mode="bilinear", align_corners=False)
        filled = torch.lerp(around, mean, own.expand_as(mean))
    return filled
