"""The rate finder, against fastai's own where that is installed."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessonpipe.config import TrainPhase
from lessonpipe.errors import UserError
from lessonpipe.train.learner import SupervisedLearner
from lessonpipe.train.lr_find import Curve, lr_find, steep, valley
from lessonpipe.train.schedule import AdamWConfig
from tests.small import CPU, Batches

PHASE = TrainPhase(batch=4, epochs=1, max_lr=1e-3)


class Learner(SupervisedLearner):
    """Two convolutions that learn to sharpen."""

    def __init__(self):
        torch.manual_seed(3)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 3, 3, padding=1, bias=False),
        )
        super().__init__(net, AdamWConfig(weight_decay=0.01, eps=1e-5))
        self.frozen = []

    def loss_terms(self, x, y):
        return {"pixel": F.mse_loss(self.net(x), y)}

    def validation_step(self, x, y):
        return self.loss_terms(x, y), {}

    def param_groups(self):
        return [list(self.net[0].parameters()), list(self.net[2].parameters())]

    def freeze(self, frozen):
        self.frozen.append(frozen)


def sharpening(scale=1.0):
    """Seven batches of smoothed noise and the noise itself."""
    y = torch.rand(28, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * scale
    return Batches(list(zip(F.avg_pool2d(y, 3, 1, 1).split(4), y.split(4), strict=True)))


def find(learner=None, data=None, **options):
    return lr_find(learner or Learner(), data or sharpening(), PHASE, CPU, seed=1, **options)


def test_rates_rise_by_the_same_factor_and_the_loss_falls_then_diverges():
    curve = find()
    ratios = [b / a for a, b in zip(curve.rates, curve.rates[1:], strict=False)]
    assert ratios == pytest.approx([10 ** (8 / 100)] * len(ratios))
    assert curve.rates[0] == 1e-7
    assert min(curve.losses) < 0.7 * curve.losses[0]
    assert curve.losses[-1] > 4 * min(curve.losses)
    assert len(curve.losses) < 100
    assert all(loss <= 4 * min(curve.losses[: i + 1]) for i, loss in enumerate(curve.losses[:-1]))


def test_the_network_and_the_random_state_come_out_as_they_went_in():
    learner = Learner()
    before = copy.deepcopy(learner.net.state_dict())
    random_state = torch.random.get_rng_state()
    find(learner)
    after = learner.net.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(random_state, torch.random.get_rng_state())
    assert all(p.grad is None for p in learner.net.parameters())
    assert learner.frozen == [False]


def test_a_loss_that_is_nan_ends_the_search_and_is_left_out():
    curve = find(rates=(1e-4, 1e30))
    assert not math.isfinite(curve.losses[-1]) or curve.losses[-1] > 4 * min(curve.losses)
    bad = Curve(100, [1e-7 * 1.2**i for i in range(60)], [1.0 - i / 100 for i in range(60)])
    bad.losses[-1] = math.nan
    assert bad.suggest()["valley"] in bad.rates[10:59]


def test_a_curve_that_ends_at_once_suggests_nothing_but_an_error():
    words = r"the loss diverged after 3 of 100 steps, at a rate of 1\.0e-05"
    with pytest.raises(UserError, match=words):
        Curve(100, [1e-7, 1e-6, 1e-5], [1.0, 2.0, 9.0]).suggest()


def curves():
    """Falls and rises of many shapes, with and without noise."""
    rng = torch.Generator().manual_seed(0)
    rates = torch.tensor([1e-7 * 10 ** (8 * i / 100) for i in range(10, 95)], dtype=torch.float64)
    places = torch.linspace(0, 1, len(rates), dtype=torch.float64)
    for bottom in (0.2, 0.5, 0.8, 1.5):
        for noise in (0.0, 0.01, 0.1):
            dip = (places - bottom).square()
            yield rates, dip + noise * torch.rand(len(rates), generator=rng, dtype=torch.float64)
    yield rates, places.clone()  # only rises
    yield rates, 1 - places  # only falls
    yield rates[:2], torch.tensor([2.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("ours", [valley, steep])
def test_suggestions_are_fastais_on_the_same_curves(ours):
    schedule = pytest.importorskip("fastai.callback.schedule")
    theirs = getattr(schedule, ours.__name__)
    for rates, losses in curves():
        suggested, _ = theirs(rates, losses, 100)
        assert ours(rates.tolist(), losses.tolist()) == pytest.approx(suggested, rel=1e-9)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_curve_is_fastais_on_the_same_network_and_batches(scale, tmp_path):
    basics = pytest.importorskip("fastai.basics")
    from fastai.callback.schedule import SuggestionMethod

    learner, data = Learner(), sharpening(scale)
    items = [(x, y) for batch in data.batches for x, y in zip(*batch, strict=True)]
    loaders = basics.DataLoaders(basics.DataLoader(items, bs=4), basics.DataLoader(items, bs=4))
    theirs = basics.Learner(
        loaders,
        copy.deepcopy(learner.net),
        loss_func=lambda output, y: F.mse_loss(output, y),
        opt_func=basics.Adam,
        wd=0.01,
        path=tmp_path,
    )
    suggested = theirs.lr_find(
        show_plot=False, suggest_funcs=(SuggestionMethod.Valley, SuggestionMethod.Steep)
    )
    curve = find(learner, data)
    assert curve.rates == pytest.approx(theirs.recorder.lrs, rel=1e-9)
    expected = [float(loss) for loss in theirs.recorder.losses]
    assert curve.losses == pytest.approx(expected, rel=2e-4)
    assert curve.suggest() == pytest.approx(
        {"valley": suggested.valley, "steep": suggested.steep}, rel=1e-5
    )
