"""Is a new model better than the one in service? Paired, on photos that neither has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lessonpipe.report.ablation import Difference, bootstrap_difference

LESS_IS_BETTER = ("perceptual", "ab_error")
NOISE = 1e-4  # what the last bits of the weights and the order of sums may do to any measure


@dataclass(frozen=True)
class Decision:
    """Whether the new model goes into service, why, and by how much it differs."""

    better: bool
    reasons: list[str]
    differences: dict[str, Difference]


def decide(
    new: Mapping[str, Sequence[float]],
    old: Mapping[str, Sequence[float]],
    *,
    measure: str,
    allowed: Mapping[str, float],
) -> Decision:
    """Compare two models by one value a photo and measure, photos in the same order.

    The new one is better if the 95 % interval of its paired difference in `measure`, by a
    bootstrap over photos, is on the good side of zero by more than `NOISE`, and no measure of
    `allowed` is worse by more than what is allowed, in the mean. Differences are turned so that
    more is better.
    """
    found = {
        name: _turned(name, bootstrap_difference([new[name]], [old[name]]))
        for name in {measure: 0, **allowed}
        if name in new and name in old
    }
    d = found[measure]
    reasons = []
    if d.low <= NOISE:
        interval = f"{d.mean:+.3f}, 95 % interval {d.low:+.3f}…{d.high:+.3f}"
        reasons.append(f"{measure} is not surely better: {interval}")
    for name, most in allowed.items():
        if name in found and found[name].mean < -most:
            reasons.append(f"{name} is worse by {-found[name].mean:.3f}; {most:g} is allowed")
    return Decision(not reasons, reasons, found)


def _turned(name: str, d: Difference) -> Difference:
    return Difference(-d.mean, -d.high, -d.low) if name in LESS_IS_BETTER else d
