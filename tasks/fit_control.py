"""What feature loss is held against: the same steps by pixel loss alone -> models/fit_control.

    python -m tasks fit_control

Its params are those of fit_feature, so that nothing but the loss differs.
"""

from pathlib import Path

from lessonpipe.device import Worker
from lessonpipe.train.generator import GeneratorLearner, PairData
from tasks import fit_feature
from tasks.fit_feature import Params, teach
from tasks.pipeline import launch

SECTION = "fit_feature"


def ready(p: Params) -> tuple[GeneratorLearner, PairData, Worker]:
    """As fit_feature's, without its feature terms."""
    return fit_feature.ready(without_features(p))


def without_features(p: Params) -> Params:
    """The same params, pixel loss alone."""
    return p.model_copy(update={"feature": None})


def run(
    p: Params,
    pairs: Path = Path("data/crappify"),
    generator: Path = Path("models/pretrain_generator"),
    out: Path = Path("models/fit_control"),
) -> None:
    """Train as fit_feature does, without its feature terms."""
    launch.launch(teach, without_features(p), {"pairs": pairs, "generator": generator}, out)
