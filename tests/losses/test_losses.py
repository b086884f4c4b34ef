"""What is made small, against formulas."""

import math

import pytest
import torch
from torch import nn

from lessonpipe.losses import FeatureLoss, PixelLoss, accuracy, judge
from lessonpipe.losses.feature import gram


def test_pixel_loss_is_in_the_lessons_normalised_units():
    made, good = torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)
    std = (0.229, 0.224, 0.225)
    mse = PixelLoss("mse", std)(made, good)["pixel"]
    assert float(mse) == pytest.approx(sum((0.1 / s) ** 2 for s in std) / 3, rel=1e-5)
    l1 = PixelLoss("l1", std, weight=2)(made, good)["pixel"]
    assert float(l1) == pytest.approx(2 * sum(0.1 / s for s in std) / 3, rel=1e-5)


def test_the_gram_matrix_tells_what_goes_together_and_not_where():
    x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # 1 2 1 2
    expected = torch.tensor([[5.0, 11.0], [11.0, 25.0]]) / 4
    assert torch.allclose(gram(x)[0], expected)
    assert torch.allclose(gram(x.flip(-1)), gram(x))


def test_judging_by_chance_costs_the_logarithm_of_two():
    assert float(judge(torch.zeros(2, 1, 5, 5), real=True)) == pytest.approx(math.log(2))
    logits = torch.randn(2, 1, 3, 3)
    target = torch.zeros(2, 1, 3, 3)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, target)
    assert torch.allclose(judge(logits, real=False), expected)


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


def test_feature_loss_on_vgg_equals_the_lessons_seven_terms(vgg_loss):
    import torchvision

    vgg = torchvision.models.vgg16_bn().features.eval()
    names = list(vgg_loss.eyes.state_dict())
    own = dict(zip(names, vgg.state_dict().values(), strict=False))
    vgg_loss.eyes.load_state_dict(own)
    made, good = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def look(x):
        x, kept = (x - mean) / std, []
        for i, layer in enumerate(vgg):
            x = layer(x)
            if i in (22, 32, 42):
                kept.append(x.clone())  # the next layer works in place
        return kept

    expected = {"pixel": ((made - good) / std).abs().mean()}
    for i, (a, b, w) in enumerate(zip(look(made), look(good), [5, 15, 2], strict=True)):
        expected[f"feat_{i}"] = (a - b).abs().mean() * w

        def style(x):
            n, c, h, wide = x.shape
            flat = x.view(n, c, -1)
            return flat @ flat.transpose(1, 2) / (c * h * wide)

        expected[f"gram_{i}"] = (style(a) - style(b)).abs().mean() * w**2 * 5e3
    terms = vgg_loss(made, good)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(float(value), rel=1e-4), name


def test_feature_loss_computes_nothing_past_the_last_tap(vgg_loss):
    convolutions = [m for m in vgg_loss.eyes.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 13  # the last tap is behind the 13th of VGG-16
    shallow = FeatureLoss("vgg16_bn", pixel=vgg_loss.pixel, taps=[1], weights=[1], pretrained=False)
    assert len([m for m in shallow.eyes.modules() if isinstance(m, nn.Conv2d)]) == 4


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
