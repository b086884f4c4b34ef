"""Perceptual loss: what a network that knows pictures sees (Johnson et al. 2016)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.losses.pixel import PixelLoss
from lessonpipe.nets.blocks import Normalize, freeze
from lessonpipe.nets.encoder import Encoder


def gram(x: Tensor) -> Tensor:
    """How channels go together, wherever it is: `B C H W -> B C C`, divided by C*H*W."""
    flat = x.flatten(2)  # B C S
    return flat @ flat.transpose(1, 2) / (x.shape[1] * x.shape[2] * x.shape[3])


class FeatureLoss(nn.Module):
    """Pixel loss + L1 between features + L1 between Gram matrices, each term by name.

    `taps` number the encoder's features from fine to coarse, 0 at half size; `weights` has one w
    a tap, and features count w, Gram matrices w**2 * `gram_weight`. With timm's `vgg16_bn` and
    taps 2, 3, 4 these are the lesson's ReLUs 22, 32 and 42. The encoder ends at the last tap,
    and the good picture runs through it without gradient. `gram_taps` names those of the taps
    that have a Gram term, by default all.

    `unit` compares the features of each place scaled to length 1, as LPIPS does (Zhang et al.
    2018); Gram matrices, which tell how strong a texture is, are always of features as they are.
    """

    def __init__(
        self,
        encoder: str,
        *,
        pixel: PixelLoss,
        taps: Sequence[int],
        weights: Sequence[float],
        gram_weight: float = 5000.0,
        gram_taps: Sequence[int] | None = None,
        unit: bool = False,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        eyes = Encoder(encoder, pretrained=pretrained, depth=max(taps) + 1)
        self.normalize = Normalize(eyes.mean, eyes.std)
        self.encoder = freeze(eyes.net)
        self.pixel, self.taps, self.weights = pixel, list(taps), list(weights)
        self.gram_weight, self.unit = gram_weight, unit
        self.gram_taps = self.taps if gram_taps is None else list(gram_taps)

    def train(self, mode: bool = True) -> "FeatureLoss":
        """The eyes never train."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The tapped features of pictures in 0...1, in float32: `B C_i H_i W_i` each."""
        seen = self.encoder(self.normalize(x))
        return [seen[tap].float() for tap in self.taps]

    def forward(self, made: Tensor, good: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            aim = self.features(good)
        seen = self.features(made)
        terms = self.pixel(made, good)
        with torch.autocast(made.device.type, enabled=False):
            for i, (w, s, a) in enumerate(zip(self.weights, seen, aim, strict=True)):
                if self.unit:
                    s, a = F.normalize(s, dim=1), F.normalize(a, dim=1)
                terms[f"feat_{i}"] = w * F.l1_loss(s, a)
            for i, (w, s, a) in enumerate(zip(self.weights, seen, aim, strict=True)):
                if self.gram_weight and self.taps[i] in self.gram_taps:
                    terms[f"gram_{i}"] = w**2 * self.gram_weight * F.l1_loss(gram(s), gram(a))
        return terms
