"""Pictures from noise, and a score for pictures: fastai's basic generator and critic.

B batch, Z noise, F features. Pictures are in -1...1. Activation comes before batch norm and the
critic's leaks, as in v1, the lesson's; v2 has batch norm first and plain ReLUs unless told.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from lessonpipe.nets.blocks import batch_norm, conv

LEAK = 0.2
ScoreNorm = Literal["batch", "none"]


class NoiseGenerator(nn.Module):
    """Transposed convolutions from 1x1 to `px`: `B Z -> B 3 px px` in -1...1.

    A 4x4 grid of `F px/8` channels, halved as the grid doubles; `extra_layers` before the last.
    """

    def __init__(
        self, px: int = 64, *, noise: int = 100, features: int = 64, extra_layers: int = 1
    ):
        super().__init__()
        self.config: dict[str, Any] = {
            "px": px, "noise": noise, "features": features, "extra_layers": extra_layers
        }  # fmt: skip
        self.noise = noise
        n, size = features * px // 8, 4
        layers = _up(noise, n, 4, 1, 0)  # B n 4 4
        while size < px // 2:
            layers += _up(n, n // 2, 4, 2, 1)
            n, size = n // 2, size * 2
        for _ in range(extra_layers):
            layers += _up(n, n, 3, 1, 1)
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(n, 3, 4, 2, 1, bias=False))

    def forward(self, noise: Tensor) -> Tensor:
        return torch.tanh(self.layers(noise[:, :, None, None]).float())  # B 3 px px


def _up(n_in: int, n_out: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
    layer = nn.ConvTranspose2d(n_in, n_out, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return [layer, nn.ReLU(), batch_norm(n_out)]


class ScoreCritic(nn.Module):
    """Strided convolutions from `px` down to one number a picture: `B 3 px px -> B`.

    `extra_layers` behind the first, which has no norm. A critic that is held by a gradient penalty
    has none at all (`norm="none"`): batch norm would mix the pictures whose gradients are meant.
    """

    def __init__(
        self, px: int = 64, *, features: int = 64, extra_layers: int = 1, norm: ScoreNorm = "batch"
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "px": px, "features": features, "extra_layers": extra_layers, "norm": norm
        }  # fmt: skip
        n, size = features, px // 2
        layers: list[nn.Module] = [conv(3, n, 4, stride=2, norm="none", leak=LEAK)]
        layers += [conv(n, n, 3, norm=norm, leak=LEAK) for _ in range(extra_layers)]
        while size > 4:
            layers.append(conv(n, n * 2, 4, stride=2, norm=norm, leak=LEAK))  # B 2n size/2 size/2
            n, size = n * 2, size // 2
        last = nn.Conv2d(n, 1, 4)
        nn.init.kaiming_normal_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.layers = nn.Sequential(*layers, last, nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).float()  # B
