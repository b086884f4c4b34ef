"""Random views against fastai's: the same transforms of the same random numbers."""

import math

import numpy as np
import pytest
import torch
from fastai.torch_core import TensorImage
from fastai.vision.augment import (
    _BrightnessLogit,
    _ContrastLogit,
    _WarpCoord,
    apply_perspective,
    find_coeffs,
    rotate_mat,
    zoom_mat,
)
from torch import Tensor

from lessonpipe.data import augment
from lessonpipe.data.augment import Augment, View
from lessonpipe.data.sampling import Sampling

COUNT = 8_000


def images(count: int = 4, px: int = 33) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=rng)
    return torch.nn.functional.interpolate(coarse, (px, px), mode="bilinear").clamp(0, 1)


def matrices(angle=0.0, zoom=1.0, centre=(0.0, 0.0), warp=(0.0,) * 4, count=4) -> list[Tensor]:
    """Turn and zoom, and warp: `count 3 3` each."""
    numbers = [torch.as_tensor(v, dtype=torch.float32) for v in (angle, zoom, centre, warp)]
    wide = [
        n.expand(count, *n.shape[-1:]) if i > 1 else n.expand(count) for i, n in enumerate(numbers)
    ]
    return [augment._affine(*wide[:3]), augment._perspective(wide[3])]


def moved(x: Tensor, **numbers) -> Tensor:
    rows = zip(*(matrix.tolist() for matrix in matrices(**numbers)), x, strict=True)
    return torch.stack([Sampling(affine, warp)(one, x.shape[-2:]) for affine, warp, one in rows])


def lit(x: Tensor, bright: Tensor, contrast: Tensor) -> Tensor:
    return View(torch.zeros(len(x), dtype=torch.bool), None, (bright, contrast))(x)


def assert_same(ours: Tensor, theirs: Tensor, within: float = 1e-4) -> None:
    assert (ours - torch.Tensor(theirs)).abs().max() < within


def test_the_same_rotation_gives_the_same_image_as_fastais():
    x, degrees = images(), torch.tensor([-10.0, -3.0, 4.0, 10.0])
    theirs = TensorImage(x).rotate(draw=degrees.tolist(), p=1.0)
    # v2's sign is the opposite of v1's
    assert_same(moved(x, angle=-degrees * math.pi / 180), theirs)


def test_the_same_zoom_at_the_same_centre_gives_the_same_image_as_fastais():
    x, zoom = images(), torch.tensor([1.0, 1.2, 1.7, 2.0])
    where = torch.tensor([[0.5, 0.5], [0.0, 1.0], [0.3, 0.9], [1.0, 0.1]])
    draws = {"draw": zoom.tolist(), "draw_x": where[:, 0].tolist(), "draw_y": where[:, 1].tolist()}
    theirs = TensorImage(x).zoom(p=1.0, max_zoom=2.0, **draws)
    centre = (1 - 1 / zoom)[:, None] * (2 * where - 1)
    assert_same(moved(x, zoom=zoom, centre=centre), theirs)


def test_the_same_warp_gives_the_same_image_as_fastais():
    x = images()
    across, down = torch.tensor([0.2, -0.2, 0.1, 0.0]), torch.tensor([0.05, 0.2, -0.15, -0.2])
    theirs = TensorImage(x).warp(draw_x=across.tolist(), draw_y=down.tolist(), p=1.0)
    # v1's four numbers, of which v2 draws two: right, left, bottom, top
    warp = torch.stack([-across, across, -down, down], 1)
    assert_same(moved(x, warp=warp), theirs)


def test_a_warp_of_four_sides_is_v1s_symmetric_warp():
    m = torch.tensor([[0.2, -0.1, 0.15, 0.05]])
    a, b, c, d = m[0]
    targets = [[-1 - d, -1 - b], [-1 - c, 1 + b], [1 + d, -1 - a], [1 + c, 1 + a]]
    corners = torch.tensor([[[-1.0, -1], [-1, 1], [1, -1], [1, 1]]])
    coefficients = find_coeffs(corners, torch.tensor(targets)[None])
    grid = torch.rand(1, 7, 7, 2) * 2 - 1
    theirs = apply_perspective(grid, coefficients)
    points = torch.cat([grid.flatten(1, 2), torch.ones(1, 49, 1)], 2)
    ours = points @ augment._perspective(m).mT
    assert_same((ours[..., :2] / ours[..., 2:]).view_as(grid), theirs, 1e-5)


def test_all_transforms_together_are_v1s_rotation_of_the_zoom_of_the_warp():
    x = images()
    degrees, zoom = torch.tensor([-7.0, 2.0, 5.0, 9.0]), torch.tensor([1.3, 1.8, 1.1, 1.5])
    across, down = torch.full((4,), 0.1), torch.full((4,), -0.2)
    turn = rotate_mat(x, draw=(-degrees).tolist(), p=1.0)
    scale = zoom_mat(x, max_zoom=2.0, draw=zoom.tolist(), draw_x=0.2, draw_y=0.9, p=1.0)
    warp = _WarpCoord(p=1.0, draw_x=across.tolist(), draw_y=down.tolist())
    warp.before_call(x)
    coefficients = find_coeffs(warp.orig_pts, warp.targ_pts)
    tilt = torch.cat([coefficients, torch.ones(4, 1, 1)], 1).view(4, 3, 3)
    expected = torch.Tensor(turn @ scale @ tilt)
    centre = (1 - 1 / zoom)[:, None] * torch.tensor([2 * 0.2 - 1, 2 * 0.9 - 1])
    affine, warped = matrices(
        degrees * math.pi / 180, zoom, centre, torch.stack([-across, across, -down, down], 1)
    )
    assert_same(affine @ warped, expected, 1e-5)


def test_the_same_light_gives_the_same_image_as_fastais():
    x = images()
    x[0, 0, :3], x[1, 0, :3] = 0.0, 1.0
    change, scale = torch.tensor([0.4, 0.5, 0.55, 0.6]), torch.tensor([0.8, 1.0, 1.1, 1.25])
    theirs = TensorImage(x.clone()).brightness(draw=change.tolist(), p=1.0)
    assert_same(lit(x, torch.logit(change), torch.ones(4)), theirs, 1e-5)
    theirs = TensorImage(x.clone()).contrast(draw=scale.tolist(), p=1.0)
    assert_same(lit(x, torch.zeros(4), scale), theirs, 1e-5)


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest distance between two empirical distributions (Kolmogorov and Smirnov)."""
    a, b = (np.sort(np.asarray(v, dtype=np.float64).round(5)) for v in (ours, theirs))
    both = np.concatenate([a, b])
    share = [np.searchsorted(v, both, side="right") / len(v) for v in (a, b)]
    return float(np.abs(share[0] - share[1]).max())


@pytest.fixture(scope="module")
def drawn() -> View:
    lesson = Augment(rotate=10, zoom=2, warp=0.2, light=0.2)
    return lesson.draw(COUNT, torch.Generator().manual_seed(0))


def alone(kind: str, **options: float) -> Tensor:
    view = Augment(flip=False, **options).draw(COUNT, torch.Generator().manual_seed(1))
    assert view.samplings is not None
    return torch.tensor([getattr(sampling, kind) for sampling in view.samplings])


LIMIT = 1.95 * math.sqrt(2 / COUNT)  # one in a thousand equal distributions is further apart


def test_rotations_zooms_and_centres_have_fastais_distributions():
    torch.manual_seed(0)
    like = torch.empty(COUNT, 1, 1, 1)
    turn, scale = rotate_mat(like, 10, p=0.75), zoom_mat(like, 1.0, 2.0, p=0.75)
    assert apart(alone("affine", rotate=10)[:, 1, 0], turn[:, 1, 0]) < LIMIT
    ours = alone("affine", zoom=2)
    for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)):
        assert apart(ours[:, row, column], scale[:, row, column]) < LIMIT
    assert (ours[:, 0, 0] == 1).float().mean() == pytest.approx(0.25, abs=0.015)


def test_warps_have_v1s_distribution():
    matrix = alone("warp", warp=0.2)
    assert (matrix - torch.eye(3)).flatten(1).abs().amax(1).lt(1e-6).float().mean() == (
        pytest.approx(0.25, abs=0.015)  # v2 would leave 1/16 of the pictures as they are
    )
    rng = torch.Generator().manual_seed(2)
    happens = torch.rand(COUNT, 1, generator=rng) < 0.75
    sides = (torch.rand(COUNT, 4, generator=rng) * 0.4 - 0.2) * happens
    expected = augment._perspective(sides)
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 1), (2, 0), (2, 1)):
        assert apart(matrix[:, row, column], expected[:, row, column]) < LIMIT


def test_cuts_have_v1s_distribution():
    crop = alone("crop", rotate=10)
    even = torch.rand(COUNT, generator=torch.Generator().manual_seed(3))
    assert apart(crop[:, 0], even) < LIMIT and apart(crop[:, 1], even) < LIMIT
    assert abs(np.corrcoef(crop[:, 0], crop[:, 1])[0, 1]) < 0.03


def test_light_has_fastais_distribution(drawn):
    torch.manual_seed(0)
    like = torch.empty(COUNT, 1, 1, 1)
    bright, contrast = _BrightnessLogit(0.2, 0.75), _ContrastLogit(0.2, 0.75)
    for kind in (bright, contrast):
        kind.before_call(like)
    assert drawn.lights is not None
    assert apart(torch.sigmoid(drawn.lights[0]), bright.change) < LIMIT
    assert apart(drawn.lights[1], contrast.change) < LIMIT
    assert abs(np.corrcoef(drawn.lights[0], drawn.lights[1])[0, 1]) < 0.03


def test_half_of_the_images_are_flipped_as_by_fastai(drawn):
    assert drawn.flip.float().mean() == pytest.approx(0.5, abs=0.015)


def test_the_first_flips_of_a_seed_are_those_of_the_trained_sample_models():
    """The sample models depend on this stream of random numbers."""
    rng = torch.Generator().manual_seed(42)
    flips = [Augment(flip=True).draw(8, rng).flip.int().tolist() for _ in range(3)]
    assert flips == FLIPS
    assert torch.rand(1, generator=rng).item() == pytest.approx(0.438436, abs=1e-5)


FLIPS = [[0, 0, 1, 0, 1, 0, 1, 0], [0, 1, 1, 1, 0, 1, 1, 1], [1, 0, 0, 0, 1, 1, 1, 0]]
