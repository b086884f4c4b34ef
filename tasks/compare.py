"""Evaluates what GAN and feature loss add to pixels: -> reports/comparison/.

    python -m tasks compare

Its params are those of evaluate but for what its own section says.
"""

from pathlib import Path

from lessonpipe.report.measured import LIVE
from tasks import evaluate
from tasks.evaluate import Params

__all__ = ["BASE", "Params", "run"]

BASE = "evaluate"


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    photos: Path = Path("data/photos"),
    critic: Path = Path("models/pretrain_critic"),
    out: Path = Path("reports/comparison"),
    live: Path = LIVE / "compare",
) -> None:
    """Evaluate as `evaluate` does, the critic before the GAN too."""
    evaluate.run(p, pairs, photos, critic, out, live)
