"""Perceptual loss: distances between features of a pretrained network (Johnson et al. 2016)."""

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.losses.pixel import PixelKind, PixelLoss
from lessonpipe.nets.blocks import Normalize, freeze
from lessonpipe.nets.encoder import Encoder


class FeatureLossConfig(StrictModel):
    """Which network's features are compared, and how much each term weighs.

    `layers` number the encoder's features from fine to coarse, 0 at half resolution; `weights` has
    one w a layer: features count w, Gram matrices w**2 * `gram_weight`. `gram_layers` names those
    layers that have a Gram term, by default all. `normalize_features` compares the features of each
    pixel scaled to length 1, as LPIPS does (Zhang et al. 2018); Gram matrices, which say how strong
    a texture is, are always of features as they are. `distance` is between features and between
    Gram matrices: the lesson's L1, or the MSE of Johnson et al.
    """

    encoder: str
    pretrained: bool = True
    layers: list[int] = Field(min_length=1)
    weights: list[float]
    gram_weight: float = Field(5000.0, ge=0)
    gram_layers: list[int] | None = None
    normalize_features: bool = False
    distance: PixelKind = "l1"

    @model_validator(mode="after")
    def _match(self) -> "FeatureLossConfig":
        if len(self.layers) != len(self.weights):
            raise ValueError(f"{len(self.layers)} layers need as many weights, not {self.weights}")
        if more := set(self.gram_layers or []) - set(self.layers):
            raise ValueError(f"gram_layers {sorted(more)} are none of the layers {self.layers}")
        return self


def gram(x: Tensor) -> Tensor:
    """How channels go together, wherever it is: `B C H W -> B C C`, divided by C*H*W."""
    flat = x.flatten(2)  # B C S
    return flat @ flat.transpose(1, 2) / (x.shape[1] * x.shape[2] * x.shape[3])


class FeatureLoss(nn.Module):
    """Pixel loss + distances of features + those of Gram matrices, each term by name.

    `B 3 H W, B 3 H W -> {"pixel", "feat_0", ..., "gram_0", ...}`, images in 0...1. With timm's
    `vgg16_bn` and layers 2, 3, 4 the features are the lesson's ReLUs 22, 32 and 42. The encoder
    ends at the last layer, and the target runs through it without gradient; fastai v1 runs the
    whole network for both.
    """

    def __init__(self, config: FeatureLossConfig, pixel: PixelLoss) -> None:
        super().__init__()
        depth = max(config.layers) + 1
        encoder = Encoder(config.encoder, pretrained=config.pretrained, depth=depth)
        self.normalize = Normalize(encoder.mean, encoder.std)
        self.encoder = freeze(encoder.net)
        self.pixel, self.config = pixel, config
        self.distance = F.l1_loss if config.distance == "l1" else F.mse_loss

    def train(self, mode: bool = True) -> "FeatureLoss":
        """The encoder never trains."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """The features of images in 0...1, in float32: `B C_i H_i W_i` each."""
        features = self.encoder(self.normalize(x))
        return [features[layer].float() for layer in self.config.layers]

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = self.features(target)
        features = self.features(output)
        terms = self.pixel(output, target)
        c = self.config
        # sums over C*H*W products overflow half precision
        with torch.autocast(output.device.type, enabled=False):
            for i, (w, f, t) in enumerate(zip(c.weights, features, wanted, strict=True)):
                if c.normalize_features:
                    f, t = F.normalize(f, dim=1), F.normalize(t, dim=1)
                terms[f"feat_{i}"] = w * self.distance(f, t)
            for i, (w, f, t) in enumerate(zip(c.weights, features, wanted, strict=True)):
                if c.gram_weight and (c.gram_layers is None or c.layers[i] in c.gram_layers):
                    terms[f"gram_{i}"] = w**2 * c.gram_weight * self.distance(gram(f), gram(t))
        return terms


def image_loss(
    feature: FeatureLossConfig | None, kind: PixelKind, std: tuple[float, ...], weight: float = 1.0
) -> nn.Module:
    """The pixel loss of `kind` times `weight`, and what a `feature` loss adds to it.

    `std` is what pixels are divided by: the generator's encoder's.
    """
    pixel = PixelLoss(kind, std, weight)
    return pixel if feature is None else FeatureLoss(feature, pixel)
