"""The adversarial losses: binary cross-entropy averaged over a grid of logits."""

import torch
import torch.nn.functional as F
from torch import Tensor


def adversarial_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Cross-entropy of `B 1 h w` logits against one label for all patches ("adaptive" loss)."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss from its logits for real and generated images: 0.69 by chance."""
    return (adversarial_loss(real, real=True) + adversarial_loss(fake, real=False)) / 2


def critic_accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """Share of the logits `B 1 h w` for real and for generated images on the right side of 0."""
    return (_share(real > 0) + _share(fake <= 0)) / 2


def _share(right: Tensor) -> Tensor:
    return right.float().mean()
