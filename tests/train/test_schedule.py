"""One-cycle and the optimizer; tests/fastai compares them with fastai's."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from lessonpipe.config import Slice, TrainPhase
from lessonpipe.train.schedule import AdamWConfig, OneCycle, adamw, layerwise_rates


def test_a_cycle_starts_low_peaks_at_the_maximal_rate_and_ends_near_zero():
    rates = [OneCycle(1000).at(step)[0] for step in range(1000)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 300
    assert rates[-1] < 1e-4


def test_rates_are_spaced_geometrically_over_the_groups():
    assert layerwise_rates((1e-6, 1e-4), 3) == pytest.approx([1e-6, 1e-5, 1e-4])
    assert layerwise_rates(1e-3, 3) == [1e-3] * 3


def test_a_slice_is_a_tenth_for_all_groups_but_the_last():
    assert layerwise_rates(Slice(slice=3e-3), 3) == pytest.approx([3e-4, 3e-4, 3e-3])
    assert layerwise_rates(Slice(slice=3e-3), 1) == [3e-3]
    phase = {"batch": 1, "epochs": 1}
    assert TrainPhase(**phase, max_lr={"slice": 3e-3}).max_lr == Slice(slice=3e-3)
    assert TrainPhase(**phase, max_lr=[1e-6, 1e-3]).max_lr == (1e-6, 1e-3)
    for wrong in ({"slice": 0}, {"slice": [1e-6, 1e-3]}, {"slices": 1e-3}, [1e-3]):
        with pytest.raises(ValidationError):
            TrainPhase(**phase, max_lr=wrong)


def test_weight_decay_is_decoupled_from_the_gradient():
    weight = nn.Parameter(torch.ones(3))
    optimizer = adamw([[weight]], 0.1, AdamWConfig(weight_decay=0.5))
    weight.grad = torch.zeros(3)
    optimizer.step()
    assert torch.allclose(weight, torch.full((3,), 1 - 0.1 * 0.5))


def test_frozen_parameters_are_not_optimised():
    free, frozen = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = adamw([[frozen], [free]], (1e-4, 1e-2), AdamWConfig(weight_decay=0))
    assert [g["params"] for g in optimizer.param_groups] == [[free]]
    assert optimizer.param_groups[0]["max_lr"] == pytest.approx(1e-2)
