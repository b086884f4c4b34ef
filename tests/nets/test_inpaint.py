"""Filling holes from around them."""

import pytest
import torch

from lessonpipe.nets.inpaint import push_pull


def with_hole(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture with a square of 12 px painted over, and weights that know of it."""
    weight = torch.ones_like(x[:, :1])
    weight[..., 20:32, 24:36] = 0
    return torch.where(weight > 0, x, torch.tensor(7.0)), weight


def test_where_every_pixel_has_its_weight_nothing_changes():
    x = torch.randn(2, 3, 64, 96)
    assert torch.equal(push_pull(x, torch.ones(2, 1, 64, 96)), x)


def test_a_hole_in_one_color_gets_that_color_whatever_was_painted_into_it():
    x = torch.tensor([0.2, -1.0, 1.5])[None, :, None, None].expand(1, 3, 64, 64)
    damaged, weight = with_hole(x)
    error = (push_pull(damaged, weight) - x).abs().amax()
    assert error < 0.04  # of the 8 that the paint is off: a hole weighs a ten-thousandth


def test_a_hole_in_a_ramp_is_nearer_to_it_than_the_mean_around_it():
    x = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    damaged, weight = with_hole(x)
    hole = (weight == 0)[0, 0]
    error = (push_pull(damaged, weight) - x)[0, 0][hole].abs().mean()
    mean = damaged[0, 0][~hole].mean()
    assert error < 0.5 * (mean - x[0, 0][hole]).abs().mean()


def test_half_a_weight_is_half_way_between_a_pixel_and_what_is_around_it():
    x = torch.zeros(1, 1, 64, 64)
    x[..., 31, 31] = 1.0
    weight = torch.ones_like(x)
    results = []
    for w in (1.0, 0.5, 0.0):
        weight[..., 31, 31] = w
        results.append(push_pull(x, weight)[0, 0, 31, 31].item())
    assert results[0] == 1
    assert 0.5 < results[1] < 0.65  # what is around it holds a little of the pixel, too
    assert results[2] == pytest.approx(0, abs=0.01)


def test_odd_sizes_and_a_picture_that_is_damaged_everywhere_are_filled_too():
    x = torch.randn(1, 3, 37, 50)
    filled = push_pull(x, torch.zeros(1, 1, 37, 50))
    assert filled.shape == x.shape and filled.isfinite().all()
    assert x.amin() <= filled.amin() and filled.amax() <= x.amax()  # of means


def test_what_is_filled_in_has_a_slope_for_the_weights():
    x, weight = torch.randn(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.5, requires_grad=True)
    push_pull(x, weight).square().mean().backward()
    assert weight.grad is not None and weight.grad.abs().min() > 0
