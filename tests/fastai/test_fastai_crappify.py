"""Crappify against the lesson's function, given the same draws."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lessonpipe.crappify import Recipe
from lessonpipe.data.photos import open_photo
from tests.conftest import make_picture

LESSON = [{"resize": {"shorter": 96}}, "text", "jpeg"]


def lesson_crappify(path: Path, quality: int, place: tuple[int, int]) -> bytes:
    """The lesson's function, its three draws handed in."""
    picture = Image.open(path)
    ratio = 96 / min(picture.size)
    size = int(picture.width * ratio), int(picture.height * ratio)
    picture = picture.resize(size, resample=Image.Resampling.BILINEAR).convert("RGB")
    ImageDraw.Draw(picture).text(place, str(quality), fill=(255, 255, 255))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (97, 96), (150, 90)])
def test_crappify_makes_the_lessons_fastai_pixels_from_the_same_draws(size, tmp_path):
    path = tmp_path / "cat.jpg"
    recipe = Recipe(LESSON)
    for seed in range(5):
        make_picture(*size, seed=seed).save(path, quality=92)
        name = f"cat{seed}"
        content, suffix = recipe.encode(open_photo(path), name)
        rng = recipe.rng(name)  # the same ones once more
        ratio = 96 / min(size)
        width, height = int(size[0] * ratio), int(size[1] * ratio)
        place = rng.randint(0, width // 2), rng.randint(0, height // 2)
        expected = lesson_crappify(path, rng.quality, place)
        assert suffix == ".jpg"
        assert pixels(content).shape == (height, width, 3)
        assert np.array_equal(pixels(content), pixels(expected))
        assert content == expected


def test_a_grey_photo_has_the_lessons_pixels_too(tmp_path):
    path = tmp_path / "cat.jpg"
    make_picture(200, 150).convert("L").save(path)
    recipe = Recipe([{"resize": {"shorter": 96}}, {"jpeg": {"quality": 60}}])
    small = Image.open(path).resize((128, 96), resample=Image.Resampling.BILINEAR).convert("RGB")
    out = io.BytesIO()
    small.save(out, "JPEG", quality=60)
    assert recipe.encode(open_photo(path), "cat")[0] == out.getvalue()


def test_the_draws_have_the_lessons_distribution(tmp_path):
    recipe = Recipe(LESSON)
    qualities, lefts = [], []
    for i in range(3000):
        drawn = recipe.rng(str(i))
        qualities.append(drawn.quality)
        lefts.append(drawn.randint(0, 64))
    rng = random.Random(0)
    expected = [rng.randint(10, 70) for _ in qualities]
    assert (min(qualities), max(qualities)) == (10, 70)
    assert np.mean(qualities) == pytest.approx(np.mean(expected), abs=1.5)
    assert np.std(qualities) == pytest.approx(np.std(expected), rel=0.04)
    assert abs(np.corrcoef(qualities, lefts)[0, 1]) < 0.06


@pytest.mark.parametrize("shorter", [96, 256])
def test_the_older_crappify_has_no_text_and_one_quality(shorter, tmp_path):
    picture = make_picture(500, 375)
    content, _ = Recipe([{"resize": {"shorter": shorter}}, {"jpeg": {"quality": 60}}]).encode(
        picture, "cat"
    )
    size = int(500 * shorter / 375), shorter
    small = picture.resize(size, resample=Image.Resampling.BILINEAR)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=60)
    assert content == out.getvalue()
