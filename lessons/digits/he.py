"""The networks of He et al. 2015, section 4.2: of 6n+2 layers, plain or with shortcuts.

Theirs are for CIFAR-10, on grids of 32, 16 and 8. Here the first convolution halves the digits, as
that of their ImageNet networks does, and grids are 14, 7 and 4: a quarter of the work.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm: `B n_in H W -> B n_out H/stride W/stride`.

    With a `shortcut` the input is added before the last ReLU. Where the grid halves, every other
    pixel is, and channels that are new get nothing (their option A), so that a plain network has
    the same parameters.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.n_new, self.stride, self.shortcut = n_out - n_in, stride, shortcut
        self.body = nn.Sequential(
            *_conv_norm(n_in, n_out, stride), nn.ReLU(), *_conv_norm(n_out, n_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's features."""
        y: Tensor = self.body(x)
        if self.shortcut:
            y = y + F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.n_new))
        return F.relu(y)


def he_layers(layers: int, width: int, *, shortcuts: bool, classes: int) -> list[nn.Module]:
    """The network's parts, `B 1 28 28 -> B classes`: 6n+2 `layers`, of `width` channels at first.

    Theirs are 16 channels wide, and have 20, 32, 44, 56 and 110 layers.
    """
    parts: list[nn.Module] = [*_conv_norm(1, width, 2), nn.ReLU()]
    n = width
    for stage in range(3):
        for block in range((layers - 2) // 6):
            n_out = width * 2**stage
            stride = 2 if stage and not block else 1
            parts.append(BasicBlock(n, n_out, stride, shortcuts))
            n = n_out
    return [*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, classes)]


def _conv_norm(n_in: int, n_out: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv, nn.BatchNorm2d(n_out)
