"""Random views: both images of a pair get the same one, within the bounds of the params."""

import math

import pytest
import torch

from lessonpipe.data.augment import Augment, View


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def affine(view: View) -> torch.Tensor:
    assert view.samplings is not None
    return torch.tensor([sampling.affine for sampling in view.samplings])


def test_a_seed_draws_the_same_views_and_another_seed_others():
    augment = Augment(rotate=10, zoom=2, warp=0.2, light=0.2)
    views = [augment.draw(8, rng(seed)) for seed in (0, 0, 1)]
    assert views[0].samplings == views[1].samplings
    assert views[0].samplings != views[2].samplings


def test_without_options_a_view_is_the_identity():
    x = torch.rand(4, 3, 16, 16)
    assert torch.equal(Augment(flip=False).draw(4, rng())(x), x)


def test_half_of_the_images_are_flipped_exactly():
    view = Augment(flip=True).draw(2000, rng())
    assert 0.45 < view.flip.float().mean() < 0.55
    x = torch.rand(2000, 1, 2, 3)
    flipped = torch.where(view.flip[:, None, None, None], x.flip(-1), x)
    assert torch.equal(view(x), flipped)


def test_without_moves_a_view_of_classes_is_flipped_as_the_picture_is():
    view = Augment(flip=True, light=0.2).draw(20, rng())
    y = torch.randint(0, 9, (20, 4, 5))
    expected = torch.where(view.flip[:, None, None], y.flip(-1), y)
    assert torch.equal(view.labels(y), expected)


def test_zoom_crops_the_image_and_never_leaves_it():
    matrix = affine(Augment(flip=False, zoom=2.0, p_affine=1.0).draw(500, rng()))
    scale = matrix[:, 0, 0]
    assert scale.min() >= 0.5
    assert scale.max() <= 1.0
    corners = torch.tensor([[-1.0, -1, 1], [1, 1, 1]]).T
    assert (matrix @ corners)[:, :2].abs().max() <= 1.0 + 1e-5


def test_rotation_stays_within_its_degrees_and_has_a_probability_of_three_quarters():
    matrix = affine(Augment(flip=False, rotate=10).draw(4000, rng()))
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]) * 180 / math.pi
    assert angle.abs().max() <= 10.01
    assert 0.72 < (angle != 0).float().mean() < 0.78


def test_light_changes_brightness_on_logits_as_fastai_does():
    view = Augment(flip=False, light=0.2, p_light=1.0).draw(4000, rng())
    assert view.lights is not None
    shift, contrast = view.lights
    assert float(torch.sigmoid(shift).min()) == pytest.approx(0.4, abs=0.01)
    assert float(torch.sigmoid(shift).max()) == pytest.approx(0.6, abs=0.01)
    assert float(contrast.min()) == pytest.approx(0.8, abs=0.01)
    assert float(contrast.max()) == pytest.approx(1 / 0.8, abs=0.01)


def test_views_of_the_parts_of_a_batch_are_parts_of_its_view():
    view = Augment(light=0.2).draw(8, rng())
    x = torch.rand(8, 3, 16, 16)
    parts = [view.part(slice(a, b))(x[a:b]) for a, b in ((0, 3), (3, 8))]
    assert torch.equal(torch.cat(parts), view(x))
    view = Augment(rotate=10, zoom=2, light=0.2).draw(8, rng())
    assert view.samplings is not None
    assert view.part(slice(3, 5)).samplings == view.samplings[3:5]
