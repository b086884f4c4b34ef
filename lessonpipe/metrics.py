"""How good a picture is, against the photo. Pictures are `B 3 H W` in 0...1, float32.

Nothing is cropped and colours count as they are: every measure is over RGB unless it says luma.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.nets.blocks import Normalize, freeze
from lessonpipe.nets.encoder import Encoder


def psnr(made: Tensor, good: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, one a picture: `-10 log10(mean squared error)`."""
    error = (made.float().clamp(0, 1) - good.float()).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10()


def psnr_metrics(made: Tensor, crappy: Tensor, good: Tensor) -> dict[str, Tensor]:
    """Mean PSNR of a batch, and by how much it is above the crappy pictures', in dB."""
    own = psnr(made, good)
    return {"psnr": own.mean(), "psnr_gain": (own - psnr(crappy, good)).mean()}


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


def laplacian_energy(x: Tensor) -> Tensor:
    """Energy of fine structure, one a picture: the mean square of the luma's Laplacian.

    The usual measure of focus (Pech-Pacheco et al. 2000). A picture's sharpness is its share of
    the photo's detail; noise counts as detail, so read it beside the perceptual distance.
    """
    kernel = x.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float32)[None, None]
    return F.conv2d(luma(x.float().clamp(0, 1)), kernel).square().flatten(1).mean(1)


def colourfulness(x: Tensor) -> Tensor:
    """How colourful a picture is, one a picture; 0 for a grey one (Hasler & Suesstrunk 2003).

    Their scale is of pictures in 0...255: 33 is moderately colourful, 109 extremely.
    """
    red, green, blue = (255 * x.float().clamp(0, 1)).flatten(2).unbind(1)  # B S
    off = torch.stack([red - green, (red + green) / 2 - blue])  # 2 B S
    spread, middle = off.var(-1, correction=0).sum(0), off.mean(-1).square().sum(0)
    return spread.sqrt() + 0.3 * middle.sqrt()


def lab(x: Tensor) -> Tensor:
    """CIE L*a*b* of sRGB under D65, 2 degrees: `B 3 H W -> B 3 H W`, L in 0...100."""
    x = x.float().clamp(0, 1)
    linear = torch.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)
    to_xyz = x.new_tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    white = x.new_tensor([0.95047, 1.0, 1.08883])
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz / white[:, None], linear)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    fx, fy, fz = f.unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], 1)


def ab_error(made: Tensor, good: Tensor) -> Tensor:
    """How far colours are off, one a picture: mean distance in Lab's a, b, lightness aside."""
    return (lab(made) - lab(good))[:, 1:].square().sum(1).sqrt().flatten(1).mean(1)


def squared_errors(made: Tensor, good: Tensor, where: Tensor) -> Tensor:
    """Sum of squared errors over the pixels that `where`, `B 1 H W`, marks; one a picture."""
    off = (made.float().clamp(0, 1) - good.float()).square()
    return (off * where).flatten(1).sum(1)


class PerceptualDistance(nn.Module):
    """Distance as a network sees it, one a picture; the lower the nearer.

    The LPIPS form (Zhang et al. 2018) without its learned weights: features of each place
    scaled to length 1, squared differences summed over channels, meaned over places and over the
    encoder's five scales. Use an encoder that no loss was made of.
    """

    def __init__(self, encoder: str, *, pretrained: bool = True) -> None:
        super().__init__()
        eyes = Encoder(encoder, pretrained=pretrained)
        self.normalize = Normalize(eyes.mean, eyes.std)
        self.encoder = freeze(eyes.net)

    @torch.no_grad()
    def forward(self, made: Tensor, good: Tensor) -> Tensor:
        def look(x: Tensor) -> list[Tensor]:
            seen = self.encoder(self.normalize(x.float().clamp(0, 1)))
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


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, draws: int = 2000) -> Summary:
    """Summarise one value a *photo*: its tiles are no independent witnesses."""
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(array), (draws, len(array)))
    low, high = np.percentile(array[picks].mean(1), [2.5, 97.5])
    return Summary(float(array.mean()), float(np.median(array)), float(low), float(high))
