"""Confidence intervals by the bootstrap, for photos that differ more than the models do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Sequence[float] | np.ndarray
CONFIDENCE = (2.5, 97.5)  # percentiles that bound a 95 % interval


@dataclass(frozen=True)
class Summary:
    """One value per photo, summarised: mean, median, and the mean's 95 % interval."""

    mean: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Ratio:
    """How many times a baseline's mean another mean is, with a 95 % interval."""

    times: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much higher one mean is than another, with a 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def bootstrap(
    statistic: Callable[..., Any], *arrays: Any, seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """Returns the 95 % percentile interval of `statistic(*arrays)`.

    `statistic` reduces along its keyword `axis`, as `np.mean` does. The arrays have one shape and
    are paired: each draw resamples every axis with replacement, by the same indices for all
    arrays. With one axis that is `scipy.stats.bootstrap(paired=True, method="percentile")`; with
    two (training seeds x photos) both are resampled, so that neither other seeds nor other photos
    are likely to overturn the result.
    """
    samples = [np.asarray(array, dtype=np.float64) for array in arrays]
    shape = samples[0].shape
    rng = np.random.default_rng(seed)
    index = tuple(
        rng.integers(0, size, (draws, *np.where(np.arange(len(shape)) == axis, size, 1)))
        for axis, size in enumerate(shape)
    )
    resampled = statistic(
        *(sample[index] for sample in samples), axis=tuple(range(1, len(shape) + 1))
    )
    low, high = np.percentile(resampled, CONFIDENCE)
    return float(low), float(high)


def bootstrap_mean(values: Values, *, seed: int = 0, draws: int = 2000) -> Summary:
    """Summarises one value per photo.

    Values of tiles have to be averaged per photo before: tiles of a photo are not independent.
    """
    array = np.asarray(values, dtype=np.float64)
    low, high = bootstrap(np.mean, array, seed=seed, draws=draws)
    return Summary(float(array.mean()), float(np.median(array)), low, high)


def bootstrap_ratio(new: Values, old: Values, *, seed: int = 0, draws: int = 2000) -> Ratio:
    """Returns the ratio of two means over the same photos, `new` over `old`, paired by photo."""
    low, high = bootstrap(_ratio_of_means, new, old, seed=seed, draws=draws)
    return Ratio(float(np.mean(new) / np.mean(old)), low, high)


def bootstrap_difference(
    new: Sequence[Values], old: Sequence[Values], *, seed: int = 0, draws: int = 4000
) -> Difference:
    """Returns the mean of `new - old`, both training seeds x photos, paired by both."""
    difference = np.asarray(new, dtype=np.float64) - np.asarray(old, dtype=np.float64)
    low, high = bootstrap(np.mean, difference, seed=seed, draws=draws)
    return Difference(float(difference.mean()), low, high)


def _ratio_of_means(new: np.ndarray, old: np.ndarray, *, axis: Any) -> np.ndarray:
    return np.asarray(new.mean(axis) / old.mean(axis))
