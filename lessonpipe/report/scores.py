"""Metrics of a model's pictures, gathered per tile and summarised over photos."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lessonpipe.data.manifest import Pair
from lessonpipe.metrics import (
    ab_error,
    colourfulness,
    laplacian_energy,
    psnr,
    squared_errors,
    ssim,
)
from lessonpipe.report.bootstrap import bootstrap_mean, bootstrap_ratio

MEANS = ("psnr", "psnr_gain", "ssim", "perceptual", "ab_error")
RATIOS = ("sharpness", "colourfulness")
REMOVED = tuple(f"{k}_{v}" for k in ("text", "damage", "unseen") for v in ("removed", "ceiling"))
GHOST = ("ghost", "ghost_p95", "flat_ghost", "flat_ghost_p95")
GHOST_BINS, GHOST_BIN = 1024, 0.25  # a histogram's, in levels of 0...255
COMPARED = ("sharpness", "perceptual", "ssim")


@dataclass
class Scores:
    """The metrics of one model at one size.

    Tiles of a photo are not independent, photos are: tiles are averaged per photo, and mean,
    median and the 95 % bootstrap interval are over photos. Those of `RATIOS` are the output's value
    over the photo's, both summed over the photo's tiles. Those of `REMOVED` are 1 - the output's
    squared error over the crappy picture's, both summed over the pixels of a photo that local
    damage changed: writing (`text`), what no training picture has (`unseen`), or any other
    (`damage`). Those of `GHOST` are the mean and the
    95th percentile of `metrics.ghost` over these pixels, all of them or those on flat ground.
    `clean_psnr` is that of undamaged tiles after the model.
    """

    tiles: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[tuple[str, str], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    histograms: dict[tuple[str, str], Any] = field(default_factory=dict)

    def add(
        self,
        pairs: Sequence[Pair],
        output: Tensor,
        crappy: Tensor,
        photo: Tensor,
        perceptual: Tensor,
    ) -> None:
        """Adds a batch: pictures `B 3 H W` in 0...1, perceptual distances `B`."""
        values = [
            psnr(output, photo),
            psnr(output, photo) - psnr(crappy, photo),
            ssim(output, photo),
            perceptual,
            ab_error(output, photo),
        ]
        rows = zip(*(v.tolist() for v in values), strict=True)
        for pair, row in zip(pairs, rows, strict=True):
            self.tiles[pair.photo].append(dict(zip(MEANS, row, strict=True)))
        self._add_sums("sharpness", pairs, laplacian_energy(output), laplacian_energy(photo))
        self._add_sums("colourfulness", pairs, colourfulness(output), colourfulness(photo))

    def add_clean(self, pairs: Sequence[Pair], output: Tensor, photo: Tensor) -> None:
        """Adds a batch of what the model made of undamaged tiles, `B 3 H W`."""
        values = psnr(output, photo)
        self._add_sums("clean_psnr", pairs, values, torch.ones_like(values))

    def add_removed(
        self,
        metric: str,
        pairs: Sequence[Pair],
        output: Tensor,
        crappy: Tensor,
        photo: Tensor,
        damaged: Tensor,
    ) -> None:
        """Adds a batch for one of `REMOVED`; `damaged` is `B 1 H W`, true where the damage is.

        For a ceiling, `output` is restored from pictures without that damage: the best that the
        model could do.
        """
        errors = (squared_errors(x, photo, damaged) for x in (output, crappy))
        self._add_sums(metric, pairs, *errors)

    def add_ghost(
        self, pairs: Sequence[Pair], ghost: Tensor, damaged: Tensor, flat: Tensor
    ) -> None:
        """Adds a batch of `metrics.ghost`; `damaged` and `flat` are true where those are.

        All are `B 1 H W`.
        """
        bins = (ghost / GHOST_BIN).round().long().clamp(max=GHOST_BINS - 1)
        for kind, where in (("ghost", damaged), ("flat_ghost", damaged & flat)):
            for pair, values, mask in zip(pairs, bins, where, strict=True):
                counts = torch.bincount(values[mask], minlength=GHOST_BINS).cpu().numpy()
                known = self.histograms.get((kind, pair.photo), 0)
                self.histograms[kind, pair.photo] = known + counts

    def _add_sums(
        self, metric: str, pairs: Sequence[Pair], output: Tensor, reference: Tensor
    ) -> None:
        for pair, a, b in zip(pairs, output.tolist(), reference.tolist(), strict=True):
            self.sums[metric, pair.photo].append((a, b))

    def by_photo(self, metric: str) -> list[float]:
        """Returns one value per photo, in order of their names, without photos that have none.

        A grey photo has no ratio of colourfulness, an undamaged one no removed damage.
        """
        photos = sorted(self.tiles)
        if metric in MEANS:
            return [float(np.mean([t[metric] for t in self.tiles[p]])) for p in photos]
        if metric in GHOST:
            kind, p95, _ = metric.partition("_p95")
            counts = [self.histograms.get((kind, p), np.zeros(GHOST_BINS)) for p in photos]
            return [_of_histogram(c, bool(p95)) for c in counts if c.sum()]
        sums = [np.sum(self.sums[metric, p], axis=0) for p in photos if self.sums[metric, p]]
        if metric == "clean_psnr":
            return [float(total / count) for total, count in sums]
        if metric == "sharpness":
            return [float(output / max(photo, 1e-12)) for output, photo in sums]
        if metric == "colourfulness":
            return [float(output / photo) for output, photo in sums if photo > 1]
        return [float(1 - output / crappy) for output, crappy in sums if crappy > 0]

    def summary(self, seed: int) -> dict[str, dict[str, float]]:
        """Returns mean, median, low and high of every metric that any photo has."""
        names = (*MEANS, *RATIOS, *REMOVED, *GHOST, "clean_psnr")
        values = {name: self.by_photo(name) for name in names}
        return {name: asdict(bootstrap_mean(v, seed=seed)) for name, v in values.items() if v}


def _of_histogram(counts: np.ndarray, p95: bool) -> float:
    """The mean or the 95th percentile of what fell into bins around multiples of `GHOST_BIN`."""
    centers = np.arange(GHOST_BINS) * GHOST_BIN
    if not p95:
        return float(np.average(centers, weights=counts))
    return float(centers[np.searchsorted(counts.cumsum(), 0.95 * counts.sum())])


def compare_scores(new: Scores, old: Scores, seed: int) -> dict[str, Any]:
    """Returns ratios of the means of `COMPARED` and the difference in PSNR, paired by photo."""
    result = {
        metric: asdict(bootstrap_ratio(new.by_photo(metric), old.by_photo(metric), seed=seed))
        for metric in COMPARED
    }
    lost = np.array(old.by_photo("psnr")) - np.array(new.by_photo("psnr"))
    return {**result, "psnr_lost": asdict(bootstrap_mean(lost, seed=seed))}
