"""Two critics that tell generated images from real ones: the lesson's, and one on an encoder.

Both return a grid of logits, one a patch, above 0 for "real"; the loss averages over it.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lessonpipe.config import StrictModel
from lessonpipe.nets.blocks import Normalize, ResBlock, SelfAttention, conv
from lessonpipe.nets.encoder import Encoder, EncoderName

CriticKind = Literal["lesson", "encoder"]


class LessonCritic(nn.Sequential):
    """The lesson's critic, fully convolutional: `B 3 H W -> B 1 H/16-3 W/16-3` logits.

    Spectral norm and leaky ReLU throughout, channel dropout, one self-attention layer after the
    first halving behind the dense block. 44,705,665 parameters with the defaults.
    """

    def __init__(self, width: int = 128, halvings: int = 3) -> None:
        layers: list[nn.Module] = [
            conv(3, width, 4, stride=2, padding=1, norm="spectral", leak=0.2),
            nn.Dropout2d(0.075),
            ResBlock(width, dense=True, norm="spectral", leak=0.2),
        ]
        n = width * 2
        for i in range(halvings):
            layers += [
                nn.Dropout2d(0.15),
                conv(n, n * 2, 4, stride=2, padding=1, norm="spectral", leak=0.2),
            ]
            n *= 2
            if i == 0:
                layers.append(SelfAttention(n))
        layers.append(
            conv(n, 1, 4, padding=0, bias=False, norm="spectral", act=False),
        )
        super().__init__(*layers)


class EncoderCritic(nn.Module):
    """A critic on a frozen pretrained encoder: `B 3 H W -> B 1 H/64 W/64` logits.

    The lecturer's suspicion (Sauer et al. 2021 found the same): features trained on
    ImageNet, spectral-normed heads on top. One more head sees the fine structure of the
    pixels themselves, so that the generator cannot hide patterns which the encoder does not see.
    """

    def __init__(self, encoder: Encoder, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        encoder.freeze()
        self.fine = nn.Sequential(
            spectral_norm(nn.Conv2d(3, width // 2, 4, 2, 1)), nn.LeakyReLU(0.2)
        )
        self.heads = nn.ModuleList(_head(n, width) for n in [width // 2, *encoder.channels])
        self.scale = nn.Parameter(torch.full((len(self.heads),), 4.0))

    def forward(self, x: Tensor) -> Tensor:
        detail = (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)) * 8
        features = [self.fine(detail), *self.encoder.net(x)]
        size = (max(1, x.shape[-2] // 64), max(1, x.shape[-1] // 64))
        grids = [
            F.adaptive_avg_pool2d(head(f).float(), size)
            for head, f in zip(self.heads, features, strict=True)
        ]
        return torch.einsum("n,nbchw->bchw", self.scale, torch.stack(grids))


def _head(n: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(n, width, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )


class CriticConfig(StrictModel):
    """Options of `Critic`: the section `net` of params.yaml and `build` of a model's model.json.

    `width` is that of the lesson's first layer, or of the heads on an encoder; `encoder` and
    `depth` (how many of its scales have a head) are for the second kind alone.
    """

    kind: CriticKind
    encoder: EncoderName = "tf_efficientnet_lite0"
    depth: int = Field(3, ge=1, le=5)
    width: int = Field(64, ge=8, le=2048)


class Critic(nn.Module):
    """Either critic as everybody uses it: images `B 3 H W` in 0...1 in, a grid of logits out."""

    def __init__(self, config: CriticConfig, *, pretrained: bool) -> None:
        super().__init__()
        self.config = config
        if config.kind == "lesson":
            self.normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
            self.net: nn.Module = LessonCritic(config.width)
        else:
            encoder = Encoder(config.encoder, pretrained=pretrained, depth=config.depth)
            self.normalize = Normalize(encoder.mean, encoder.std)
            self.net = EncoderCritic(encoder, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.normalize(x))
