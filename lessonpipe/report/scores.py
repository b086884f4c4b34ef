"""Measures gathered picture by picture, summed up photo by photo."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from lessonpipe.data.manifest import Pair
from lessonpipe.metrics import (
    ab_error,
    bootstrap_mean,
    colourfulness,
    laplacian_energy,
    psnr,
    squared_errors,
    ssim,
)

MEASURES = ("psnr", "psnr_gain", "ssim", "perceptual", "ab_error")
RATIOS = ("sharpness", "colourfulness")
REMOVED = ("text_removed", "text_ceiling", "damage_removed", "damage_ceiling")


@dataclass
class Scores:
    """The measures of one model at one size.

    A tile is no independent witness: its photo is. So tiles are meaned within their photo, and
    mean, median and the 95 % bootstrap interval are taken over photos. `sharpness` is the output's
    detail over the photo's, both summed over its tiles, and `colourfulness` likewise. Those of
    `REMOVED` are 1 - the output's squared error over the crappy picture's, both summed over the
    pixels of a photo that were written on (`text`) or spotted otherwise (`damage`).
    """

    tiles: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    sums: dict[tuple[str, str], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(
        self, pairs: Sequence[Pair], made: Tensor, crappy: Tensor, good: Tensor, perceptual: Tensor
    ) -> None:
        """Take in a batch, `B 3 H W` in 0...1."""
        values = [
            psnr(made, good),
            psnr(made, good) - psnr(crappy, good),
            ssim(made, good),
            perceptual,
            ab_error(made, good),
        ]
        rows = zip(*(v.tolist() for v in values), strict=True)
        for pair, row in zip(pairs, rows, strict=True):
            self.tiles[pair.photo].append(dict(zip(MEASURES, row, strict=True)))
        self._add_sums("sharpness", pairs, laplacian_energy(made), laplacian_energy(good))
        self._add_sums("colourfulness", pairs, colourfulness(made), colourfulness(good))

    def add_removed(
        self,
        measure: str,
        pairs: Sequence[Pair],
        made: Tensor,
        crappy: Tensor,
        good: Tensor,
        touched: Tensor,
    ) -> None:
        """Take in a batch for one of `REMOVED`; `touched` is `B 1 H W`, true where the damage is.

        For a ceiling, `made` is of the pictures without that damage: the best the model can do.
        """
        own, before = (squared_errors(x, good, touched) for x in (made, crappy))
        self._add_sums(measure, pairs, own, before)

    def _add_sums(self, measure: str, pairs: Sequence[Pair], own: Tensor, other: Tensor) -> None:
        for pair, a, b in zip(pairs, own.tolist(), other.tolist(), strict=True):
            self.sums[measure, pair.photo].append((a, b))

    def by_photo(self, measure: str) -> list[float]:
        """One value a photo, photos in order of their names; none where there is nothing to tell.

        A photo has no ratio of colour when it is grey, and nothing removed where nothing was.
        """
        photos = sorted(self.tiles)
        if measure in MEASURES:
            return [float(np.mean([t[measure] for t in self.tiles[p]])) for p in photos]
        sums = [np.sum(self.sums[measure, p], axis=0) for p in photos if self.sums[measure, p]]
        if measure == "sharpness":
            return [float(own / max(good, 1e-12)) for own, good in sums]
        if measure == "colourfulness":
            return [float(own / good) for own, good in sums if good > 1]
        return [float(1 - own / crappy) for own, crappy in sums if crappy > 0]

    def summary(self, seed: int) -> dict[str, dict[str, float]]:
        """Every measure's mean, median, low and high; text only where the recipe writes any."""
        values = {name: self.by_photo(name) for name in (*MEASURES, *RATIOS, *REMOVED)}
        return {name: asdict(bootstrap_mean(v, seed=seed)) for name, v in values.items() if v}


def bootstrap_ratio(new: Scores, old: Scores, seed: int, draws: int = 2000) -> dict[str, Any]:
    """How many times `old`'s value `new` reaches, paired: ratio of the means over photos.

    With the 95 % interval of a bootstrap that draws the same photos for both.
    """
    result = {}
    for measure in ("sharpness", "perceptual", "ssim"):
        a, b = np.array(new.by_photo(measure)), np.array(old.by_photo(measure))
        picks = np.random.default_rng(seed).integers(0, len(a), (draws, len(a)))
        low, high = np.percentile(a[picks].mean(1) / b[picks].mean(1), [2.5, 97.5])
        ratio = float(a.mean() / b.mean())
        result[measure] = {"times": ratio, "low": float(low), "high": float(high)}
    lost = np.array(old.by_photo("psnr")) - np.array(new.by_photo("psnr"))
    result["psnr_lost"] = asdict(bootstrap_mean(lost.tolist(), seed=seed))
    return result


def headline(metrics: dict[str, Any]) -> str:
    """One line of measures."""
    parts = []
    for px, models in metrics.items():
        for name, measures in models.items():
            if isinstance(measures, dict) and "psnr_gain" in measures and name != "crappy":
                told = f"{name} at {px}: {measures['psnr_gain']['median']:+.2f} dB"
                for what in ("text", "damage"):
                    if removed := measures.get(f"{what}_removed"):
                        told += f", {what} removed {removed['mean']:.2f}"
                parts.append(told)
    return "; ".join(parts)
