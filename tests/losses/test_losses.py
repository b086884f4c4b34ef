"""What is made small, against formulas; tests/fastai compares it with fastai's."""

import math

import pytest
import torch
from torch import nn

from lessonpipe.losses import FeatureLoss, PixelLoss, accuracy, adversarial_loss
from lessonpipe.losses.feature import gram


def test_pixel_loss_is_in_the_lessons_normalised_units():
    made, good = torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)
    std = (0.229, 0.224, 0.225)
    mse = PixelLoss("mse", std)(made, good)["pixel"]
    assert float(mse) == pytest.approx(sum((0.1 / s) ** 2 for s in std) / 3, rel=1e-5)
    l1 = PixelLoss("l1", std, weight=2)(made, good)["pixel"]
    assert float(l1) == pytest.approx(2 * sum(0.1 / s for s in std) / 3, rel=1e-5)


def test_the_gram_matrix_does_not_tell_where_a_thing_is():
    x = torch.rand(1, 2, 3, 4)
    assert torch.allclose(gram(x.flip(-1)), gram(x))


def test_judging_by_chance_costs_the_logarithm_of_two():
    assert float(adversarial_loss(torch.zeros(2, 1, 5, 5), real=True)) == pytest.approx(math.log(2))
    logits = torch.randn(2, 1, 3, 3)
    target = torch.zeros(2, 1, 3, 3)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(adversarial_loss(logits, real=False), expected)


def test_accuracy_is_the_share_of_logits_on_the_right_side():
    logits = torch.tensor([[[[1.0, -1.0], [2.0, 3.0]]]])
    assert float(accuracy(logits, real=True)) == 0.75
    assert float(accuracy(logits, real=False)) == 0.25


@pytest.fixture(scope="module")
def vgg_loss() -> FeatureLoss:
    pixel = PixelLoss("l1", (0.229, 0.224, 0.225))
    return FeatureLoss(
        "vgg16_bn", pixel=pixel, taps=[2, 3, 4], weights=[5, 15, 2], pretrained=False
    )


def test_feature_loss_computes_nothing_past_the_last_tap(vgg_loss):
    convolutions = [m for m in vgg_loss.eyes.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 13  # the last tap is behind the 13th of VGG-16
    shallow = FeatureLoss("vgg16_bn", pixel=vgg_loss.pixel, taps=[1], weights=[1], pretrained=False)
    assert len([m for m in shallow.eyes.modules() if isinstance(m, nn.Conv2d)]) == 4


def test_only_the_taps_that_are_named_have_a_gram_term(vgg_loss):
    made, good = torch.rand(2, 1, 3, 64, 64)
    some = FeatureLoss(
        "vgg16_bn",
        pixel=vgg_loss.pixel,
        taps=[1, 2],
        weights=[1, 2],
        gram_taps=[2],
        pretrained=False,
    )
    assert set(some(made, good)) == {"pixel", "feat_0", "feat_1", "gram_1"}


def test_feature_loss_reaches_the_made_picture_and_not_the_good_one(vgg_loss):
    made = torch.rand(1, 3, 64, 64, requires_grad=True)
    good = torch.rand(1, 3, 64, 64, requires_grad=True)
    sum(vgg_loss(made, good).values()).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(p.grad is None for p in vgg_loss.parameters())


def test_a_perfect_picture_costs_nothing(vgg_loss):
    x = torch.rand(1, 3, 64, 64)
    assert all(float(v) == 0 for v in vgg_loss(x, x).values())
