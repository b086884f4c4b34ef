"""The steps of fit_pixel with feature loss: models/pretrain_generator -> models/fit_feature.

    python -m tasks fit_feature

Its params are those of fit_pixel but for what its own section says, so that nothing but the loss
differs.
"""

from pathlib import Path

from lessonpipe.losses import FeatureLossConfig
from tasks import fit_pixel
from tasks.fit_pixel import build, load_data

__all__ = ["BASE", "Params", "build", "load_data", "run"]

BASE = "fit_pixel"


class Params(fit_pixel.Params):
    """Those of fit_pixel, and a feature loss: none makes the same network."""

    feature: FeatureLossConfig | None


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    out: Path = Path("models/fit_feature"),
) -> None:
    """Train as fit_pixel does, with `p.feature` in the loss."""
    fit_pixel.run(p, pairs, generator, out)
