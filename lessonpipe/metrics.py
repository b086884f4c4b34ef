"""Image quality metrics against the photo, one value per picture.

Pictures are `B 3 H W` in 0...1, float32, uncropped; metrics are over RGB unless they say luma.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.nets.blocks import Normalize, freeze
from lessonpipe.nets.encoder import Encoder


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB: `-10 log10(mean squared error)`, at most 100."""
    error = (output.float().clamp(0, 1) - target.float()).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10()


def psnr_metrics(output: Tensor, crappy: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Means over a batch, in dB: PSNR, and its gain over the crappy pictures' PSNR."""
    restored = psnr(output, target)
    return {"psnr": restored.mean(), "psnr_gain": (restored - psnr(crappy, target)).mean()}


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004).

    Gaussian window of 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, averaged over RGB and the pixels
    around which the window fits.
    """
    x, y = output.float().clamp(0, 1), target.float()
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
    """Energy of fine detail: the mean square of the luma's Laplacian.

    The usual measure of focus (Pech-Pacheco et al. 2000). Sharpness is the output's energy over the
    photo's; noise counts as detail, so read it together with the perceptual distance.
    """
    kernel = x.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float32)[None, None]
    return F.conv2d(luma(x.float().clamp(0, 1)), kernel).square().flatten(1).mean(1)


def colourfulness(x: Tensor) -> Tensor:
    """Colourfulness of pictures, 0 for grey ones (Hasler & Suesstrunk 2003).

    The scale is that of the paper, for pixels in 0...255: 33 is moderately colourful, 109
    extremely.
    """
    red, green, blue = (255 * x.float().clamp(0, 1)).flatten(2).unbind(1)  # B S
    opponents = torch.stack([red - green, (red + green) / 2 - blue])  # 2 B S
    variance = opponents.var(-1, correction=0).sum(0)
    return variance.sqrt() + 0.3 * opponents.mean(-1).square().sum(0).sqrt()


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


def ab_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean distance of colours in the a, b plane of CIE Lab, that is without lightness."""
    return (lab(output) - lab(target))[:, 1:].square().sum(1).sqrt().flatten(1).mean(1)


def squared_errors(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Sum of squared errors over the pixels where the mask `B 1 H W` is true."""
    errors = (output.float().clamp(0, 1) - target.float()).square()
    return (errors * mask).flatten(1).sum(1)


def ghost(output: Tensor, undamaged: Tensor) -> Tensor:
    """What is left of local damage, in levels of 0...255: `B 3 H W, B 3 H W -> B 1 H W`.

    The largest channel's difference between the outputs for the same picture with and without that
    damage. Differences of 2 in the mean and 5 at the 95th percentile are about invisible.
    """
    difference = output.float().clamp(0, 1) - undamaged.float().clamp(0, 1)
    return 255 * difference.abs().amax(1, keepdim=True)


def flat_ground(photo: Tensor, window: int = 9, levels: float = 4.0) -> Tensor:
    """Where damage shows most: pixels whose luma deviates by less than `levels` of 255 around them.

    `B 3 H W -> B 1 H W`, true where the standard deviation over `window` x `window` is small.
    """
    x = F.pad(255 * luma(photo.float()), (window // 2,) * 4, mode="reflect")
    mean = F.avg_pool2d(x, window, stride=1)
    variance = F.avg_pool2d(x.square(), window, stride=1) - mean.square()
    return variance < levels**2


class PerceptualDistance(nn.Module):
    """Perceptual distance in the features of a pretrained encoder; the lower, the nearer.

    LPIPS (Zhang et al. 2018) without its learned weights: features scaled to unit length per
    pixel, squared differences summed over channels, averaged over pixels and over the encoder's
    five scales. Use an encoder that no loss was made of. Not `pretrained`, its weights are random
    and always the same.
    """

    def __init__(self, encoder: str, *, pretrained: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = Encoder(encoder, pretrained=pretrained)
        self.normalize = Normalize(backbone.mean, backbone.std)
        self.encoder = freeze(backbone.net)

    @torch.no_grad()
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        def unit_features(x: Tensor) -> list[Tensor]:
            features = self.encoder(self.normalize(x.float().clamp(0, 1)))
            return [F.normalize(f, dim=1) for f in features]

        pairs = zip(unit_features(output), unit_features(target), strict=True)
        return torch.stack([(a - b).square().sum(1).flatten(1).mean(1) for a, b in pairs]).mean(0)
