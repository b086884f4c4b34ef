"""Bootstrap intervals: scipy's where scipy has them, and of the width that theory says."""

import math

import numpy as np
import pytest
from scipy import stats

from lessonpipe.report.bootstrap import (
    Difference,
    bootstrap,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_ratio,
)


def ratio_of_means(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    return np.mean(a, axis) / np.mean(b, axis)


@pytest.mark.parametrize(
    ("statistic", "arrays"), [(np.mean, 1), (np.median, 1), (ratio_of_means, 2)]
)
def test_an_interval_over_photos_equals_scipys(statistic, arrays) -> None:
    data = list(np.random.default_rng(0).normal(5, 2, (arrays, 40)))
    expected = stats.bootstrap(
        data,
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=500,
        rng=np.random.default_rng(7),
    ).confidence_interval
    found = bootstrap(statistic, *data, seed=7, draws=500)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_the_named_statistics_use_that_interval() -> None:
    a, b = np.random.default_rng(0).normal(5, 1, (2, 20))
    mean, ratio = bootstrap_mean(a, seed=3), bootstrap_ratio(a, b, seed=3)
    assert (mean.low, mean.high) == bootstrap(np.mean, a, seed=3)
    assert (ratio.low, ratio.high) == bootstrap(ratio_of_means, a, b, seed=3)
    assert ratio.times == pytest.approx(a.mean() / b.mean())


def test_a_summary_has_the_mean_and_the_median() -> None:
    summary = bootstrap_mean([1, 2, 3, 10])
    assert (summary.mean, summary.median) == (4, 2.5)
    assert summary.low < 4 < summary.high
    assert bootstrap_mean([1, 2, 3, 10], seed=1) == bootstrap_mean([1, 2, 3, 10], seed=1)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    summary = bootstrap_mean(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert summary.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert summary.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for i in range(200):
        summary = bootstrap_mean(rng.normal(0, 1, 30), seed=i, draws=400)
        hits += summary.low <= 0 <= summary.high
    assert 0.87 <= hits / 200 <= 0.99


def test_the_interval_of_one_photo_has_no_width() -> None:
    summary = bootstrap_mean([3.0])
    assert (summary.low, summary.high) == (3, 3)


def test_a_difference_is_the_mean_of_the_pairs() -> None:
    d = bootstrap_difference([[2.0, 3.0], [4.0, 5.0]], [[1.0, 2.0], [3.0, 3.0]])
    assert d.mean == pytest.approx((1 + 1 + 1 + 2) / 4)
    assert d.low <= d.mean <= d.high


def test_a_difference_of_one_seed_resamples_photos_alone() -> None:
    values = np.random.default_rng(0).normal(0, 1, 30)
    d = bootstrap_difference([values], [np.zeros(30)], seed=2, draws=500)
    assert (d.low, d.high) == pytest.approx(bootstrap(np.mean, values, seed=2, draws=500))


def test_a_gain_of_every_photo_and_seed_is_significant_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(30, 3, (3, 7))  # photos differ far more than the two ways do
    assert bootstrap_difference(old + 0.2 + rng.normal(0, 0.02, (3, 7)), old).significant
    assert not bootstrap_difference(old + rng.normal(0, 0.2, (3, 7)), old).significant


def test_a_gain_of_one_seed_alone_is_not_significant() -> None:
    new = np.zeros((3, 7))
    new[0] = 1.0
    assert not bootstrap_difference(new, np.zeros((3, 7))).significant


def test_an_interval_that_touches_zero_is_not_significant() -> None:
    assert not Difference(0.5, 0.0, 1.0).significant and not Difference(-0.5, -1, 0).significant
