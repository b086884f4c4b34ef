"""How far made pictures are from photos, and whether they are all the same."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lessonpipe.device import Worker
from lessonpipe.nets.blocks import Normalize, freeze
from lessonpipe.nets.encoder import Encoder


class FeatureExtractor:
    """What a pretrained network sees in pictures, meaned over places, at each of `taps`:
    `N 3 H W -> [N C]`.

    Tap 0 is at 1/2 of the picture, 4 at 1/32: early taps know colours, edges and textures, late
    ones things. Bytes go in, enlarged to `px`. Fréchet distances are only comparable with the same
    eyes; the usual ones (Inception-v3 at 299) are others.
    """

    def __init__(self, encoder: str, taps: Sequence[int], worker: Worker, *, px: int = 128) -> None:
        net = Encoder(encoder, pretrained=True)
        self.normalize = worker.to_device(Normalize(net.mean, net.std))
        self.net = worker.to_device(freeze(net.net))
        self.taps, self.px, self.worker = taps, px, worker

    @torch.no_grad()
    def __call__(self, pictures: Tensor, batch: int = 64) -> list[Tensor]:
        """Features of bytes, in float64."""
        found = []
        for part in pictures.split(batch):
            x = self.worker.batch_to_device(part).float() / 255
            x = F.interpolate(x, (self.px, self.px), mode="bilinear", align_corners=False)
            with self.worker.autocast():
                seen = self.net(self.normalize(x))
            found.append([seen[tap].float().mean((2, 3)).double().cpu() for tap in self.taps])
        return [torch.cat(parts) for parts in zip(*found, strict=True)]


def frechet(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance of two clouds `N C`, each taken for a Gaussian (Heusel et al. 2017).

    |m - n|² + tr(S + T - 2 (S T)^½); the trace of the root is the sum of the roots of the
    eigenvalues of S^½ T S^½. A cloud of one point repeated has no covariance, and a distance too.
    """
    (m, s), (n, t) = _gaussian(a), _gaussian(b)
    values, vectors = torch.linalg.eigh(s)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ t @ root).clamp(min=0).sqrt().sum()
    return float((m - n).square().sum() + s.trace() + t.trace() - 2 * shared)


def _gaussian(cloud: Tensor) -> tuple[Tensor, Tensor]:
    return cloud.mean(0), torch.cov(cloud.T)


def mean_pairwise_distance(pictures: Tensor, most: int = 512) -> float:
    """The mean distance of two different pictures `N C H W`, bytes: root mean square over pixels
    in 0...1. 0 when all are the same, as of a generator that has collapsed."""
    flat = pictures[:most].flatten(1).double() / 255
    return float(torch.pdist(flat).mean()) / flat.shape[1] ** 0.5
