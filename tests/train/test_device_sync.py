"""Training steps do not wait for the device: numbers are fetched at the end of an epoch."""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from lessonpipe.config import Phase
from lessonpipe.losses import PixelLoss
from lessonpipe.nets import Critic, CriticConfig
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.generator import GeneratorLearner
from tasks.pipeline import live
from tests.small import CPU, Batches, generator

LOSS = PixelLoss("mse", (0.5,) * 3)
FETCH = ("tolist", "numpy", "cpu")  # these do not come by as an operator on the CPU


class CountScalars(TorchDispatchMode):
    """Counts the numbers that become Python's: by `item`, `float`, `int`, `bool`."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


class CountArrays(TorchFunctionMode):
    """Counts the tensors that become lists or arrays."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "") in FETCH
        return func(*args, **(kwargs or {}))


def fetches(learner, steps, callback=None):
    """How many tensors an epoch of `steps` fetches from the device."""
    x, y = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    phase = Phase(image_px=64, batch=2, epochs=1, max_lr=1e-4, frozen=True)
    with CountScalars() as scalars, CountArrays() as arrays:
        data, checkpoint = Batches([(x, y)] * steps), Checkpoint(None)
        fit(learner, [phase], data, CPU, seed=0, checkpoint=checkpoint, callback=callback)
    return scalars.count + arrays.count


def supervised(ema):
    return GeneratorLearner(generator(), ema=ema, loss=LOSS)


def gan(**switch):
    config = CriticConfig(kind="encoder", encoder="test_efficientnet", depth=2, width=8)
    config_gan = GanConfig(optim={"beta1": 0}, switch=switch)
    return PairGanLearner(generator(), Critic(config, pretrained=False), config_gan, loss=LOSS)


@pytest.mark.parametrize(
    ("make", "a_step"),
    [
        (lambda: supervised(ema=0), 0),
        (lambda: supervised(ema=0.9), 0),
        (lambda: gan(kind="fixed", critic=1, generator=1), 0),
        (lambda: gan(kind="adaptive", threshold=0.65, patience=1), 1),
    ],
    ids=["supervised", "averaged", "fixed", "adaptive"],
)
def test_only_the_adaptive_switch_fetches_a_number_a_step(make, a_step):
    few, more = fetches(make(), 2), fetches(make(), 6)
    assert few > 0  # the sums, at the end of the epoch
    assert more - few == 4 * a_step


def test_live_curves_fetch_numbers_when_a_point_is_due_and_not_at_every_step(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SECONDS", 1000.0)
    plain, few, more = (
        fetches(supervised(ema=0), steps, live.LiveCurves(folder, "run"))
        for steps, folder in ((2, None), (2, tmp_path / "few"), (6, tmp_path / "more"))
    )
    assert few == more == plain + 2  # the first point, and the epoch's end


def test_what_is_counted_are_all_ways_to_fetch_a_number():
    x = torch.ones(1)
    for fetch in (float, int, bool, torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.numpy):
        with CountScalars() as scalars, CountArrays() as arrays:
            fetch(x)
        assert Counter([scalars.count, arrays.count]) == Counter([0, 1]), fetch
