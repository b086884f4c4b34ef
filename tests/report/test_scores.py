"""Scores are over photos, not tiles; models are compared photo by photo."""

import numpy as np
import pytest
import torch

from lessonpipe.data.manifest import Pair
from lessonpipe.report.scores import REMOVED, Scores, compare_scores

GOOD = torch.full((1, 3, 16, 16), 0.5)
NOWHERE = torch.zeros(1, 1, 16, 16, dtype=torch.bool)


def tile(photo: str, number: int = 0) -> Pair:
    return Pair(f"{photo}/{number}", photo, photo, "valid", "good", "crappy", "")


def add(scores: Scores, pair: Pair, off: float, crappy_off: float = 0.1) -> None:
    """A tile that is `off` everywhere, of a crappy one that is `crappy_off`."""
    texture = torch.rand(GOOD.shape, generator=torch.Generator().manual_seed(1)) / 10
    good = GOOD + texture
    scores.add([pair], good + off, good + crappy_off, good, torch.tensor([off]))


def test_a_photo_of_many_tiles_counts_as_one() -> None:
    scores = Scores()
    for number in range(9):
        add(scores, tile("many", number), off=0.1)  # 20 dB
    add(scores, tile("one"), off=0.01)  # 40 dB
    assert scores.by_photo("psnr") == pytest.approx([20, 40], abs=0.01)
    summary = scores.summary(seed=0)
    assert summary["psnr"]["mean"] == pytest.approx(30, abs=0.01)
    assert summary["psnr"]["low"] >= 19.9 and summary["psnr"]["high"] <= 40.1
    assert summary["psnr_gain"]["mean"] == pytest.approx(10, abs=0.01)
    assert summary["perceptual"]["mean"] == pytest.approx(0.055)
    assert summary["sharpness"]["mean"] == pytest.approx(1, abs=0.01)


def test_tiles_are_averaged_per_photo() -> None:
    scores = Scores()
    add(scores, tile("a", 0), off=0.1)
    add(scores, tile("a", 1), off=0.01)
    assert scores.by_photo("psnr") == pytest.approx([30], abs=0.01)


def test_text_removed_is_one_minus_the_remaining_share_of_the_squared_error() -> None:
    scores = Scores()
    damaged = NOWHERE.clone()
    damaged[..., :2, :] = True
    crappy, output, good = GOOD.clone(), GOOD.clone(), GOOD
    crappy[..., :2, :] += 0.4
    output[..., :2, :] += 0.1
    output[..., 8:, :] -= 0.3  # elsewhere: does not count
    for number, picture in enumerate((output, good)):
        part = [tile("a", number)]
        scores.add(part, picture, crappy, good, torch.zeros(1))
        scores.add_removed("text_removed", part, picture, crappy, good, damaged)
    assert scores.by_photo("text_removed") == pytest.approx([1 - (0.1**2) / (0.4**2) / 2])


def test_the_ceiling_is_scored_on_the_output_for_the_picture_without_text() -> None:
    scores = Scores()
    damaged = ~NOWHERE
    part = [tile("a")]
    scores.add(part, GOOD + 0.2, GOOD + 0.4, GOOD, torch.zeros(1))
    for metric, off in (("text_removed", 0.2), ("text_ceiling", 0.1)):
        scores.add_removed(metric, part, GOOD + off, GOOD + 0.4, GOOD, damaged)
    summary = scores.summary(seed=0)
    assert summary["text_removed"]["mean"] == pytest.approx(0.75)
    assert summary["text_ceiling"]["mean"] == pytest.approx(1 - 1 / 16)


def test_damage_that_is_not_there_has_no_score() -> None:
    scores = Scores()
    add(scores, tile("a"), off=0.1)
    assert not set(REMOVED) & set(scores.summary(seed=0))
    scores.add_removed("damage_removed", [tile("a")], GOOD, GOOD, GOOD, NOWHERE)
    assert not set(REMOVED) & set(scores.summary(seed=0))


def test_grey_output_has_no_colourfulness_and_grey_photos_do_not_count() -> None:
    torch.manual_seed(0)
    coloured, scores = torch.rand(GOOD.shape), Scores()
    grey = coloured.mean(1, keepdim=True).expand_as(coloured)
    scores.add([tile("a")], grey, coloured, coloured, torch.zeros(1))
    scores.add([tile("b")], coloured, coloured, coloured, torch.zeros(1))
    scores.add([tile("c")], coloured, coloured, grey, torch.zeros(1))
    assert scores.by_photo("colourfulness") == pytest.approx([0, 1], abs=1e-3)
    assert scores.by_photo("ab_error")[1] == 0 < scores.by_photo("ab_error")[0]


def test_models_are_compared_photo_by_photo() -> None:
    old, new = Scores(), Scores()
    for i in range(12):
        off = 0.01 * (i + 1)
        add(old, tile(f"{i:02d}"), off=off)
        add(new, tile(f"{i:02d}"), off=off / 2)
    comparison = compare_scores(new, old, seed=0)
    for key in ("times", "low", "high"):  # the same ratio in each photo: an interval of no width
        assert comparison["perceptual"][key] == pytest.approx(0.5)
    for key in ("mean", "median", "low", "high"):
        assert comparison["psnr_lost"][key] == pytest.approx(-6.02, abs=0.01)


def test_ghost_is_over_the_damaged_pixels_of_a_photo_and_on_flat_ground_apart() -> None:
    scores, rng = Scores(), np.random.default_rng(0)
    values = rng.gamma(2, 9, (2, 1, 64, 64)).clip(0, 250).astype(np.float32)
    damaged, flat = rng.random(values.shape) < 0.3, rng.random(values.shape) < 0.5
    for number in range(2):
        add(scores, tile("a", number), off=0.1)
        part = [torch.from_numpy(v[number : number + 1]) for v in (values, damaged, flat)]
        scores.add_ghost([tile("a", number)], *part)
    add(scores, tile("clean"), off=0.1)
    scores.add_ghost(
        [tile("clean")], *(torch.from_numpy(v[:1]) for v in (values, flat & False, flat))
    )
    for metric, where in (("ghost", damaged), ("flat_ghost", damaged & flat)):
        assert scores.by_photo(metric) == pytest.approx([values[where].mean()], abs=0.05)
        p95 = np.percentile(values[where], 95)
        assert scores.by_photo(f"{metric}_p95") == pytest.approx([p95], abs=0.3)


def test_undamaged_tiles_are_averaged_per_photo() -> None:
    scores = Scores()
    for number, off in enumerate((0.1, 0.01)):
        add(scores, tile("a", number), off=0.1)
        scores.add_clean([tile("a", number)], GOOD + off, GOOD)
    assert scores.by_photo("clean_psnr") == pytest.approx([30], abs=0.01)
