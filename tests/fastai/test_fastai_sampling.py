"""One sampling of a full-size photo against v1's `apply_tfms`, put together of v2's functions.

The order, the resizing, the sampling and the cut are v1's (1.0.61). v2's `affine_coord` samples as
v1 did where the photo is square: of others it takes the wrong side for how far they are shrunk.
"""

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fastai.torch_core import TensorImage
from fastai.vision.augment import affine_grid, apply_perspective, find_coeffs
from torch import Tensor

from lessonpipe.data import augment
from lessonpipe.data.augment import View
from lessonpipe.data.pairs import center_square
from lessonpipe.data.pictures import to_picture, to_tensor
from lessonpipe.data.sampling import Sampling, frame_size

LARGE, SMALL, TALL, SQUARE = (375, 500), (96, 128), (400, 301), (400, 400)
STILL: dict[str, Any] = {
    "degrees": 0.0,
    "zoom": 1.0,
    "where": (0.5, 0.5),
    "warp": (0.0,) * 4,
    "flip": False,
    "crop": (0.5, 0.5),
}
LESSON = {"degrees": 9.0, "zoom": 1.4, "where": (0.3, 0.9), "warp": (0.2, -0.1, 0.15, 0.05)}
DRAWS = [
    STILL,
    STILL | {"crop": (0.0, 0.99), "flip": True},
    STILL | {"zoom": 2.0, "where": (0.1, 0.8)},
    STILL | LESSON | {"crop": (0.7, 0.2)},
    STILL | LESSON | {"zoom": 2.0, "degrees": -10.0, "flip": True, "crop": (0.9, 0.6)},
]


def photo(height: int, width: int) -> Tensor:
    """`3 H W` in 0...1 with as much detail at every scale as photos have: 1 over the frequency."""
    rng = torch.Generator().manual_seed(height)
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    waves = torch.fft.rfft2(torch.randn(3, height, width, generator=rng))
    x = torch.fft.irfft2(waves / (fy**2 + fx**2).sqrt().clamp(min=1 / width), s=(height, width))
    return (0.5 + x / x.std() / 6).clamp(0, 1)


def resize_target(height: int, width: int, px: int) -> tuple[int, int]:
    """v1's `_get_resize_target` with `do_crop`."""
    ratio = min(height / px, width / px)
    return round(height / ratio), round(width / ratio)


def affine_matrix(numbers: dict[str, Any], size: tuple[int, int]) -> Tensor:
    """v1's `rotate`, then its `zoom`, multiplied, and adjusted by `_affine_mult` to a size."""
    turn, zoom = numbers["degrees"] * math.pi / 180, numbers["zoom"]
    row, column = ((1 - 1 / zoom) * (2 * place - 1) for place in numbers["where"])
    cos, sin = math.cos(turn), math.sin(turn)
    turned = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    m = turned @ torch.tensor([[1 / zoom, 0, column], [0, 1 / zoom, row], [0, 0, 1]])
    m[0, 1] *= size[0] / size[1]
    m[1, 0] *= size[1] / size[0]
    return m


def v1_coordinates(grid: Tensor, numbers: dict[str, Any]) -> Tensor:
    """Coordinates of the warp (v1's order 4), moved by the matrix of the affine ones (5)."""
    a, b, c, d = numbers["warp"]
    corners = torch.tensor([[[-1.0, -1], [-1, 1], [1, -1], [1, 1]]])
    targets = torch.tensor([[[-1 - d, -1 - b], [-1 - c, 1 + b], [1 + d, -1 - a], [1 + c, 1 + a]]])
    m = affine_matrix(numbers, (grid.shape[1], grid.shape[2]))
    return apply_perspective(grid, find_coeffs(corners, targets)) @ m[:2, :2].T + m[:2, 2]


def v1_grid_sample(x: Tensor, coords: Tensor, mode: str) -> Tensor:
    """v1's `_grid_sample`: `C H W`, `1 height width 2`."""
    if mode == "bilinear":
        zoom = 2 / float(coords.max() - coords.min())
        shrink = min(x.shape[1] / coords.shape[1], x.shape[2] / coords.shape[2]) / 2
        if shrink > 1 and shrink > zoom:
            x = F.interpolate(x[None], scale_factor=1 / shrink, mode="area")[0]
    return F.grid_sample(x[None], coords, mode, "reflection", align_corners=True)[0]


def v1_view(
    x: Tensor,
    numbers: dict[str, Any],
    target: tuple[int, int],
    size: tuple[int, int],
    mode: str = "bilinear",
) -> Tensor:
    """Sampled once to the target's size, flipped (10), and cut (99)."""
    coords = v1_coordinates(affine_grid(torch.eye(2, 3)[None], (1, 1, *target), True), numbers)
    y = v1_grid_sample(x, coords.as_subclass(Tensor), mode)
    y = y.flip(-1) if numbers["flip"] else y
    top, left = (
        int((n - m + 1) * at) for n, m, at in zip(target, size, numbers["crop"], strict=True)
    )
    return y[:, top : top + size[0], left : left + size[1]]


def sampling(numbers: dict[str, Any]) -> Sampling:
    zoom = torch.tensor([numbers["zoom"]])
    row, column = numbers["where"]
    centre = (1 - 1 / zoom)[:, None] * (2 * torch.tensor([[column, row]]) - 1)
    affine = augment._affine(torch.tensor([numbers["degrees"]]) * math.pi / 180, zoom, centre)
    warp = augment._perspective(torch.tensor([numbers["warp"]]))
    return Sampling(affine[0].tolist(), warp[0].tolist(), numbers["flip"], numbers["crop"])


@pytest.mark.parametrize("numbers", DRAWS)
@pytest.mark.parametrize("size", [LARGE, SMALL, TALL, SQUARE])
@pytest.mark.parametrize("px", [96, 128])
def test_order_sampling_and_cut_are_fastais(
    numbers: dict[str, Any], size: tuple[int, int], px: int
) -> None:
    x = photo(*size)
    frame = frame_size(x, px)
    assert frame == resize_target(*size, px)
    ours = sampling(numbers)(x, (px, px), frame)
    assert ours.shape == (3, px, px)
    assert (ours - v1_view(x, numbers, frame, (px, px))).abs().max() < 1e-4


@pytest.mark.parametrize("numbers", [STILL, DRAWS[3] | {"crop": (0.5, 0.5)}])
def test_a_square_photo_is_sampled_as_by_v2(numbers: dict[str, Any]) -> None:
    x = photo(*SQUARE)
    coordinates = partial(v1_coordinates, numbers=numbers)
    theirs = TensorImage(x[None]).affine_coord(coord_tfm=coordinates, sz=128)
    ours = sampling(numbers)(x, (128, 128))
    assert (ours - torch.Tensor(theirs)[0]).abs().max() < 1e-4


def test_light_falls_on_what_was_sampled_as_in_fastai() -> None:
    x = photo(*LARGE)
    sampled = sampling(DRAWS[3])(x, (96, 96), frame_size(x, 96))[None]
    lights = torch.logit(torch.tensor([0.45])), torch.tensor([1.2])
    ours = View(torch.tensor([True]), [], lights)(sampled)  # flipped by its sampling already
    theirs = TensorImage(sampled).brightness(draw=0.45, p=1.0).contrast(draw=1.2, p=1.0)
    assert (ours - torch.Tensor(theirs)).abs().max() < 1e-5


@pytest.mark.parametrize("numbers", [STILL, STILL | LESSON])
def test_classes_are_squeezed_to_a_size_and_never_mixed_as_by_fastai(
    numbers: dict[str, Any],
) -> None:
    labels = (photo(180, 240)[:1] * 12).long()
    ours = sampling(numbers)(labels.float(), (90, 120), mode="nearest").long()
    theirs = v1_view(labels.float(), numbers, (90, 120), (90, 120), "nearest").long()
    assert (ours != theirs).float().mean() < 1e-3  # places half-way between two pixels


def detail(x: Tensor) -> float:
    """The energy above half of the highest frequency."""
    window = torch.hann_window(x.shape[-1], periodic=False)
    power = torch.fft.fft2((x - x.mean((-1, -2), keepdim=True)) * window * window[:, None]).abs()
    f = torch.fft.fftfreq(x.shape[-1]).abs()
    return float(power.square()[..., torch.maximum(f, f[:, None]) > 0.25].sum())


def test_a_target_zoomed_twice_has_the_detail_that_v1s_has() -> None:
    x, twice = photo(*LARGE), STILL | {"zoom": 2.0}
    theirs = v1_view(x, twice, frame_size(x, 128), (128, 128))
    once = sampling(twice)(x, (128, 128), frame_size(x, 128))
    small = to_tensor(center_square(to_picture(x), 128)).float() / 255
    shrunk_first = sampling(twice)(small, (128, 128))
    assert detail(once) == pytest.approx(detail(theirs), rel=1e-3)
    assert detail(shrunk_first) < 0.05 * detail(theirs)
