"""Measures gathered picture by picture, summed up photo by photo."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from lessonpipe.data.manifest import Pair
from lessonpipe.measure import detail, psnr, squared_errors, ssim, summarise

MEASURES = ("psnr", "psnr_gain", "ssim", "perceptual")


@dataclass
class Scores:
    """The measures of one model at one size.

    A tile is no independent witness: its photo is. So tiles are meaned within their photo, and
    mean, median and the 95 % bootstrap interval are taken over photos. `text_removed` is 1 - the
    output's squared error over the crappy picture's, both summed over a photo's written pixels;
    `sharpness` is the output's detail over the photo's, both summed over its tiles.
    """

    tiles: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    text: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    plain: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    detail: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self,
        pairs: Sequence[Pair],
        made: Tensor,
        crappy: Tensor,
        good: Tensor,
        touched: Tensor,
        perceptual: Tensor,
    ) -> None:
        """Take in a batch, `B 3 H W` in 0...1; `touched` is `B 1 H W`, true where text is."""
        values = [
            psnr(made, good),
            psnr(made, good) - psnr(crappy, good),
            ssim(made, good),
            perceptual,
        ]
        rows = zip(*(v.tolist() for v in values), strict=True)
        errors = _errors(made, crappy, good, touched)
        details = zip(detail(made).tolist(), detail(good).tolist(), strict=True)
        for pair, row, error, both in zip(pairs, rows, errors, details, strict=True):
            self.tiles[pair.photo].append(dict(zip(MEASURES, row, strict=True)))
            self.text[pair.photo].append(error)
            self.detail[pair.photo].append(both)

    def add_ceiling(
        self, pairs: Sequence[Pair], made: Tensor, crappy: Tensor, good: Tensor, touched: Tensor
    ) -> None:
        """Take in what the model makes of the same pictures without text: the best it can do."""
        for pair, error in zip(pairs, _errors(made, crappy, good, touched), strict=True):
            self.plain[pair.photo].append(error)

    def by_photo(self, measure: str) -> list[float]:
        """One value a photo, photos in order of their names."""
        photos = sorted(self.tiles)
        if measure in MEASURES:
            return [float(np.mean([t[measure] for t in self.tiles[p]])) for p in photos]
        if measure == "sharpness":
            energies = [np.sum(self.detail[p], axis=0) for p in photos]
            return [float(made / max(good, 1e-12)) for made, good in energies]
        errors = self.text if measure == "text_removed" else self.plain
        sums = [np.sum(errors[p], axis=0) for p in photos if errors[p]]
        return [float(1 - made / crappy) for made, crappy in sums if crappy > 0]

    def summary(self, seed: int) -> dict[str, dict[str, float]]:
        """Every measure's mean, median, low and high; text only where the recipe writes any."""
        names = [*MEASURES, "sharpness", "text_removed", "text_ceiling"]
        values = {name: self.by_photo(name) for name in names}
        return {name: asdict(summarise(v, seed=seed)) for name, v in values.items() if v}


def _errors(
    made: Tensor, crappy: Tensor, good: Tensor, touched: Tensor
) -> list[tuple[float, float]]:
    own, before = (squared_errors(x, good, touched).tolist() for x in (made, crappy))
    return list(zip(own, before, strict=True))


def compare(new: Scores, old: Scores, seed: int, draws: int = 2000) -> dict[str, Any]:
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
    result["psnr_lost"] = asdict(summarise(lost.tolist(), seed=seed))
    return result


def headline(metrics: dict[str, Any]) -> str:
    """One line of measures."""
    parts = []
    for px, models in metrics.items():
        for name, measures in models.items():
            if isinstance(measures, dict) and "psnr_gain" in measures and name != "crappy":
                gain, text = measures["psnr_gain"], measures.get("text_removed")
                told = f"{name} at {px}: {gain['median']:+.2f} dB"
                parts.append(told + (f", text removed {text['mean']:.2f}" if text else ""))
    return "; ".join(parts)
