"""Do two ways of training differ? Paired differences over seeds and photos, as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MEASURES = {  # what stands in the table, and its title; of `perceptual` less is better
    "psnr_gain": "PSNR gained, dB",
    "text_removed": "text removed",
    "perceptual": "perceptual distance",
    "sharpness": "sharpness",
    "accuracy": "accuracy",
}
Values = Mapping[str, Sequence[Sequence[float]]]  # measure -> seeds x photos


@dataclass(frozen=True)
class Difference:
    """How much more one arm has than another, with a 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def bootstrap_difference(
    new: Sequence[Sequence[float]], old: Sequence[Sequence[float]], *, draws: int = 4000
) -> Difference:
    """The paired difference of two arms, each seeds x photos.

    The bootstrap draws photos and seeds: neither another photo nor another seed may overturn it.
    """
    off = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, off.shape[0], (draws, off.shape[0], 1))
    photos = rng.integers(0, off.shape[1], (draws, 1, off.shape[1]))
    low, high = np.percentile(off[seeds, photos].mean((1, 2)), [2.5, 97.5])
    return Difference(float(off.mean()), float(low), float(high))


def table(arms: Mapping[str, Values], seconds: Mapping[str, float]) -> str:
    """A row an arm, as Markdown; below the first, each value's difference from the first's.

    A difference whose interval leaves out zero is set in bold type.
    """
    first = next(iter(arms))
    measures = [m for m in MEASURES if all(m in values for values in arms.values())]
    lines = [
        "| | " + " | ".join([*(MEASURES[m] for m in measures), "seconds"]) + " |",
        "|---" * (len(measures) + 2) + "|",
    ]
    for name, values in arms.items():
        cells = []
        for measure in measures:
            mean = np.mean(values[measure])
            told = ""
            if name != first:
                d = bootstrap_difference(values[measure], arms[first][measure])
                mark = "**" if d.significant else ""
                told = f" {mark}{d.mean:+.3f}{mark} ({d.low:+.3f}…{d.high:+.3f})"
            cells.append(f"{mean:.3f}{told}")
        took = "–" if np.isnan(seconds[name]) else f"{seconds[name]:.0f}"
        lines.append(f"| {name} | " + " | ".join([*cells, took]) + " |")
    return "\n".join(lines)
