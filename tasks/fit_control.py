"""What feature loss is compared with: the same steps by pixel loss alone -> models/fit_control.

    python -m tasks fit_control

Its params are those of fit_feature, so that nothing but the loss differs.
"""

from pathlib import Path

from lessonpipe.data.pairs import PairData
from lessonpipe.device import Worker
from lessonpipe.train.generator import GeneratorLearner
from tasks import fit_feature
from tasks.fit_feature import Params
from tasks.pipeline.launch import launch

SECTION = "fit_feature"


def build(p: Params) -> tuple[GeneratorLearner, PairData, Worker]:
    """The network with pixel loss alone, the data, and the worker."""
    return fit_feature.build(without_features(p))


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
    inputs = {"pairs": pairs, "generator": generator}
    launch(fit_feature.train_worker, without_features(p), inputs, out)
