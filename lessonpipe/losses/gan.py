"""What the critic says: binary cross-entropy averaged over a grid of logits."""

import torch
import torch.nn.functional as F
from torch import Tensor


def adversarial_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Cross-entropy of `B 1 h w` logits against one label for all places ("adaptive" loss)."""
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def accuracy(logits: Tensor, *, real: bool) -> Tensor:
    """Share of all logits `B 1 h w` that are on the right side of 0."""
    return ((logits > 0) == real).float().mean()
