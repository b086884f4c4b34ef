"""How good a picture is, against the photo. Pictures are `B 3 H W` in 0...1, float32.

Nothing is cropped and colours count as they are: every measure is over RGB unless it says luma.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.nets.blocks import Normalise, frozen
from lessonpipe.nets.encoder import Encoder


def psnr(made: Tensor, good: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, one a picture: `-10 log10(mean squared error)`."""
    error = (made.float().clamp(0, 1) - good.float()).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10()


def ssim(made: Tensor, good: Tensor) -> Tensor:
    """Structural similarity, one a picture (Wang et al. 2004).

    Gaussian window of 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, mean over the places where the
    window fits and over RGB.
    """
    x, y = made.float().clamp(0, 1), good.float()
    offsets = torch.arange(11, device=x.device) - 5.0
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = line / line.sum()

    def blur(v: Tensor) -> Tensor:
        channels = v.shape[1]
        v = F.conv2d(v, line.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return F.conv2d(v, line.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return score.flatten(1).mean(1)


def luma(x: Tensor) -> Tensor:
    """Brightness (ITU-R 601): `B 3 H W -> B 1 H W`."""
    weights = x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def detail(x: Tensor) -> Tensor:
    """Energy of fine structure, one a picture: the mean square of the luma's Laplacian.

    The usual measure of focus (Pech-Pacheco et al. 2000). A picture's sharpness is its share of
    the photo's detail; noise counts as detail, so read it beside the perceptual distance.
    """
    kernel = x.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float32)[None, None]
    return F.conv2d(luma(x.float().clamp(0, 1)), kernel).square().flatten(1).mean(1)


def squared_errors(made: Tensor, good: Tensor, where: Tensor) -> Tensor:
    """Sum of squared errors over the pixels that `where`, `B 1 H W`, marks; one a picture."""
    off = (made.float().clamp(0, 1) - good.float()).square()
    return (off * where).flatten(1).sum(1)


class Perceptual(nn.Module):
    """Distance as a network sees it, one a picture; the lower the nearer.

    The LPIPS form (Zhang et al. 2018) without its learned weights: features of each place
    scaled to length 1, squared differences summed over channels, meaned over places and over the
    encoder's five scales. Use an encoder that no loss was made of.
    """

    def __init__(self, encoder: str, *, pretrained: bool = True) -> None:
        super().__init__()
        eyes = Encoder(encoder, pretrained=pretrained)
        self.normalise = Normalise(eyes.mean, eyes.std)
        self.eyes = frozen(eyes.net)

    @torch.no_grad()
    def forward(self, made: Tensor, good: Tensor) -> Tensor:
        def look(x: Tensor) -> list[Tensor]:
            seen = self.eyes(self.normalise(x.float().clamp(0, 1)))
            return [F.normalize(f, dim=1) for f in seen]

        pairs = zip(look(made), look(good), strict=True)
        return torch.stack([(a - b).square().sum(1).flatten(1).mean(1) for a, b in pairs]).mean(0)


@dataclass(frozen=True)
class Summary:
    """A measure over photos: mean, median, and the mean's 95 % bootstrap interval."""

    mean: float
    median: float
    low: float
    high: float


def summarise(values: Sequence[float], *, seed: int = 0, draws: int = 2000) -> Summary:
    """Summarise one value a *photo*: its tiles are no independent witnesses."""
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(array), (draws, len(array)))
    low, high = np.percentile(array[picks].mean(1), [2.5, 97.5])
    return Summary(float(array.mean()), float(np.median(array)), float(low), float(high))
