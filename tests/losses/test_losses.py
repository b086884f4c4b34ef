"""The losses against formulas; tests/fastai compares them with fastai's."""

import math

import pytest
import torch
from torch import nn

from lessonpipe.losses import (
    DamageLoss,
    DamageLossConfig,
    FeatureLoss,
    FeatureLossConfig,
    PixelLoss,
    adversarial_loss,
    critic_accuracy,
)
from lessonpipe.losses.feature import gram, image_loss

STD = (0.229, 0.224, 0.225)


def feature_loss(layers: list[int], encoder: str = "test_resnet", **options) -> FeatureLoss:
    torch.manual_seed(0)
    weights = [float(i + 1) for i in range(len(layers))]
    config = FeatureLossConfig(
        encoder=encoder, pretrained=False, layers=layers, weights=weights, **options
    )
    return FeatureLoss(config, PixelLoss("l1", STD))


def test_pixel_loss_is_in_the_lessons_normalised_units():
    output, target = torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)
    mse = PixelLoss("mse", STD)(output, target)["pixel"]
    assert float(mse) == pytest.approx(sum((0.1 / s) ** 2 for s in STD) / 3, rel=1e-5)
    l1 = PixelLoss("l1", STD, weight=2)(output, target)["pixel"]
    assert float(l1) == pytest.approx(2 * sum(0.1 / s for s in STD) / 3, rel=1e-5)


def test_the_damage_loss_is_of_the_pixels_that_changed_beyond_what_all_of_the_picture_did():
    target = torch.rand(1, 3, 32, 32) * 0.4
    crappy = target + 0.1  # faded: all of it
    crappy[..., 4:8, 4:12] += 20 / 255  # and 32 of 1024 pixels more
    crappy[..., 20, 20] += 12 / 255  # too little to count
    config = DamageLossConfig(pixel_weight=3.0, mask_weight=2.0, positive_weight=5.0)
    loss = DamageLoss(config, PixelLoss("l1", (1.0, 1.0, 1.0)))
    logits = torch.full((1, 1, 32, 32), math.log(3))  # a chance of 3/4 everywhere
    terms = loss(target + 0.5, target, crappy, logits)
    assert float(terms["damage"]) == pytest.approx(3 * 0.5 * 32 / 1024, rel=1e-5)
    entropy = (5 * 32 * -math.log(0.75) + 992 * -math.log(0.25)) / 1024
    assert float(terms["mask"]) == pytest.approx(2 * entropy, rel=1e-5)
    assert set(loss(target, target, crappy, None)) == {"damage"}  # a network without a mask
    undamaged = loss(target + 0.5, target, target, logits)
    assert float(undamaged["damage"]) == 0


def test_an_image_loss_is_the_pixel_loss_and_what_features_add():
    output, target = torch.rand(2, 1, 3, 32, 32)
    pixel = image_loss(None, "mse", STD, 3.0)
    assert torch.equal(
        pixel(output, target)["pixel"], PixelLoss("mse", STD, 3.0)(output, target)["pixel"]
    )
    config = feature_loss([1]).config
    terms = image_loss(config, "mse", STD, 3.0)(output, target)
    assert terms["pixel"] == pixel(output, target)["pixel"]
    assert set(terms) == {"pixel", "feat_0", "gram_0"}


def test_the_gram_matrix_does_not_depend_on_position():
    x = torch.rand(1, 2, 3, 4)
    assert torch.allclose(gram(x.flip(-1)), gram(x))


def test_the_loss_of_logits_by_chance_is_the_logarithm_of_two():
    assert float(adversarial_loss(torch.zeros(2, 1, 5, 5), real=True)) == pytest.approx(math.log(2))
    logits = torch.randn(2, 1, 3, 3)
    target = torch.zeros(2, 1, 3, 3)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(adversarial_loss(logits, real=False), expected)


def test_accuracy_is_the_share_of_logits_on_the_right_side():
    logits = torch.tensor([[[[1.0, -1.0], [2.0, 3.0]]]])
    real, fake = torch.ones(1), -torch.ones(1)
    assert float(critic_accuracy(logits, fake)) == (0.75 + 1) / 2
    assert float(critic_accuracy(logits, real)) == (0.75 + 0) / 2
    assert float(critic_accuracy(real, logits)) == (1 + 0.25) / 2
    assert float(critic_accuracy(fake, logits)) == (0 + 0.25) / 2


@pytest.mark.parametrize(("layers", "convolutions"), [([2, 3, 4], 13), ([1], 4)])
def test_feature_loss_computes_nothing_past_the_last_layer(layers, convolutions):
    with torch.device("meta"):  # of VGG-16's convolutions, whose last is in front of layer 4
        loss = feature_loss(layers, "vgg16_bn")
    assert sum(isinstance(m, nn.Conv2d) for m in loss.encoder.modules()) == convolutions


def test_only_the_layers_that_are_named_have_a_gram_term():
    some = feature_loss([1, 2], gram_layers=[2])
    assert set(some(*torch.rand(2, 1, 3, 32, 32))) == {"pixel", "feat_0", "feat_1", "gram_1"}


def test_the_gradient_of_feature_loss_reaches_the_output_and_no_weight():
    loss = feature_loss([2, 3, 4])
    output, target = (torch.rand(1, 3, 64, 64, requires_grad=True) for _ in range(2))
    sum(v for name, v in loss(output, target).items() if name != "pixel").backward()
    assert output.grad is not None
    assert output.grad.abs().sum() > 0
    assert target.grad is None
    assert all(p.grad is None for p in loss.parameters())


def test_the_loss_of_a_perfect_image_is_zero():
    x = torch.rand(1, 3, 64, 64)
    terms = feature_loss([2, 3, 4])(x, x)
    assert len(terms) == 7
    assert all(float(v) == 0 for v in terms.values())


def test_distances_of_features_are_l1_or_mean_squares():
    output, target = torch.rand(2, 1, 3, 64, 64)
    for name, distance in (("l1", nn.functional.l1_loss), ("mse", nn.functional.mse_loss)):
        loss = feature_loss([1, 2], distance=name, gram_weight=7)
        pairs = list(zip(loss.features(output), loss.features(target), strict=True))
        terms = loss(output, target)
        for i, (f, t) in enumerate(pairs):
            torch.testing.assert_close(terms[f"feat_{i}"], (i + 1) * distance(f, t))
            expected = (i + 1) ** 2 * 7 * distance(gram(f), gram(t))
            torch.testing.assert_close(terms[f"gram_{i}"], expected)
