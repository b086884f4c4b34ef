"""Metrics against scikit-image, formulas and cases worked out by hand."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage import data
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from lessonpipe.data.pictures import to_picture, to_tensor
from lessonpipe.metrics import (
    PerceptualDistance,
    ab_error,
    colourfulness,
    flat_ground,
    ghost,
    lab,
    laplacian_energy,
    luma,
    psnr,
    squared_errors,
    ssim,
)
from tests.conftest import make_picture


def batch(*pictures: Image.Image) -> Tensor:
    return torch.stack([to_tensor(picture).float() / 255 for picture in pictures])


GOOD = [make_picture(80, 60, seed=i) for i in range(3)]
OUTPUT = [
    GOOD[0].filter(ImageFilter.GaussianBlur(2)),
    GOOD[1].point(lambda value: value // 2),
    make_picture(80, 60, seed=9),
]


def test_psnr_equals_scikit_images() -> None:
    expected = [
        peak_signal_noise_ratio(np.asarray(g), np.asarray(m))
        for g, m in zip(GOOD, OUTPUT, strict=True)
    ]
    assert psnr(batch(*OUTPUT), batch(*GOOD)).tolist() == pytest.approx(expected, abs=1e-3)


def test_psnr_of_a_constant_error_is_its_logarithm() -> None:
    good = torch.full((1, 3, 8, 8), 0.5)
    assert psnr(good + 0.1, good).item() == pytest.approx(20, abs=1e-3)
    assert psnr(good, good).item() == pytest.approx(100)
    assert psnr(good + 9, good).item() == pytest.approx(-20 * math.log10(0.5), abs=1e-3)  # clamped


def test_ssim_equals_scikit_images() -> None:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = []
    for g, m in zip(GOOD, OUTPUT, strict=True):
        score_map = structural_similarity(
            np.asarray(g) / 255,
            np.asarray(m) / 255,
            data_range=1,
            channel_axis=2,
            full=True,
            **options,
        )[1]
        expected.append(score_map[5:-5, 5:-5].mean())  # where the window of 11 fits
    assert ssim(batch(*OUTPUT), batch(*GOOD)).tolist() == pytest.approx(expected, abs=2e-4)


def test_ssim_of_a_picture_with_itself_is_one() -> None:
    assert ssim(batch(*GOOD), batch(*GOOD)).tolist() == pytest.approx([1, 1, 1])


def test_luma_equals_pillows() -> None:
    expected = np.asarray(GOOD[0].convert("L")).astype(float)
    assert np.abs(luma(batch(GOOD[0]))[0, 0].numpy() * 255 - expected).max() <= 1


def test_laplacian_energy_is_quadratic_in_contrast_and_falls_with_blur() -> None:
    good = batch(GOOD[0])
    assert laplacian_energy(good / 2 + 0.25).item() == pytest.approx(
        laplacian_energy(good).item() / 4, rel=1e-3
    )
    assert laplacian_energy(batch(OUTPUT[0])).item() < 0.1 * laplacian_energy(good).item()
    assert laplacian_energy(torch.full((1, 3, 8, 8), 0.7)).item() == pytest.approx(0, abs=1e-9)


PHOTOS = [Image.fromarray(data.astronaut()[100:300, 100:300]), Image.fromarray(data.coffee())]


@pytest.mark.parametrize("photo", [*PHOTOS, *GOOD])
def test_lab_equals_scikit_images(photo: Image.Image) -> None:
    expected = rgb2lab(np.asarray(photo))
    assert np.abs(lab(batch(photo))[0].permute(1, 2, 0).numpy() - expected).max() < 0.02


def test_ab_error_is_the_mean_distance_of_colours_without_lightness() -> None:
    for photo in PHOTOS:
        grey = photo.convert("L").convert("RGB")
        off = (rgb2lab(np.asarray(photo)) - rgb2lab(np.asarray(grey)))[..., 1:]
        expected = np.hypot(off[..., 0], off[..., 1]).mean()
        assert ab_error(batch(grey), batch(photo)).item() == pytest.approx(expected, rel=1e-3)
        assert ab_error(batch(photo), batch(photo)).item() == 0
    a, b = (torch.full((1, 3, 4, 4), value) for value in (0.2, 0.8))
    assert ab_error(a, b).item() == pytest.approx(0, abs=0.01)


def test_colourfulness_is_the_formula_of_hasler_and_suesstrunk() -> None:
    for photo in [*PHOTOS, *GOOD]:
        red, green, blue = np.asarray(photo).astype(float).transpose(2, 0, 1)
        rg, yb = red - green, 0.5 * (red + green) - blue
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert colourfulness(batch(photo)).item() == pytest.approx(expected, rel=1e-4)
        assert colourfulness(batch(photo.convert("L").convert("RGB"))).item() < 1e-3


def test_squared_errors_count_only_masked_pixels() -> None:
    good, output = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    output[0, :, 0, 0], output[0, 1, 3, 3], output[1, 2, 0, 0] = 0.5, 1.0, 0.1
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[:, 0, 0, :] = True
    assert squared_errors(output, good, mask).tolist() == pytest.approx([0.75, 0.01])


def test_ghost_is_the_largest_channels_difference_in_levels() -> None:
    without = torch.full((1, 3, 4, 4), 0.5)
    output = without.clone()
    output[0, 1, 2, 3], output[0, 2, 2, 3] = 0.5 - 30 / 255, 0.5 + 10 / 255
    left = ghost(output, without)
    assert left.shape == (1, 1, 4, 4)
    assert left[0, 0, 2, 3].item() == pytest.approx(30, abs=1e-3) and left.sum() == left[0, 0, 2, 3]


def test_flat_ground_is_where_the_luma_hardly_deviates_in_nine_by_nine_pixels() -> None:
    photo = to_tensor(make_picture(96, 64)).float() / 255
    photo[:, :, 48:] = photo[:, :, 48:] / 8 + 0.4
    levels = np.pad(255 * luma(photo[None])[0, 0].numpy().astype(float), 4, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(levels, (9, 9))
    expected = windows.std((2, 3)) < 4
    assert np.mean(flat_ground(photo[None])[0, 0].numpy() == expected) > 0.999
    assert 0.1 < expected.mean() < 0.9


def test_a_random_encoder_gives_every_process_the_same_distance() -> None:
    x, y = torch.rand(2, 1, 3, 64, 64)
    first, second = (PerceptualDistance("test_resnet", pretrained=False) for _ in range(2))
    assert torch.equal(first(x, y), second(x, y))


def test_perceptual_distance_grows_with_damage_and_is_symmetric() -> None:
    torch.manual_seed(0)
    distance = PerceptualDistance("resnet18", pretrained=False)
    good = batch(make_picture(64, 64))
    noise = torch.randn(good.shape, generator=torch.Generator().manual_seed(1))
    distances = [distance((good + s * noise).clamp(0, 1), good).item() for s in (0, 0.05, 0.2)]
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert distances[0] < distances[1] < distances[2]
    a, b = batch(GOOD[0]), batch(GOOD[1])
    assert distance(a, b).item() == pytest.approx(distance(b, a).item())


def test_pictures_survive_the_round_trip_through_tensors() -> None:
    assert np.array_equal(to_picture(batch(GOOD[0])[0]), GOOD[0])
    out_of_range = torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)
    assert to_picture(out_of_range).getpixel((0, 0)) == (0, 128, 255)
