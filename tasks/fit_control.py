"""What feature loss is held against: the same steps by pixel loss alone -> models/fit_control.

    python -m tasks fit_control

Its params are those of fit_feature, so that nothing but the loss differs.
"""

from pathlib import Path

from tasks import work
from tasks.fit_feature import Params, teach

SECTION = "fit_feature"


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    out: Path = Path("models/fit_control"),
) -> None:
    """Train as fit_feature does, without its feature terms."""
    work.train(
        teach, p.model_copy(update={"feature": None}), {"pairs": pairs, "generator": generator}, out
    )
