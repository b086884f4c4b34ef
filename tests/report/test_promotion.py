"""A model goes into service if it is surely better, and nowhere worse than allowed."""

import numpy as np
import pytest

from lessonpipe.report.promotion import decide

PHOTOS = 12
ALLOWED = {"perceptual": 0.01, "text_removed": 0.02}


def model(gain: float, perceptual: float = 0.5, text: float = 0.9) -> dict[str, list[float]]:
    """Photos differ much more from each other than models do."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 2, PHOTOS)
    return {
        "psnr_gain": (2 + hard + gain + rng.normal(0, 0.05, PHOTOS)).tolist(),
        "perceptual": (perceptual + hard / 50).tolist(),
        "text_removed": np.full(PHOTOS, text).tolist(),
    }


def verdict(new: dict[str, list[float]], old: dict[str, list[float]]) -> list[str]:
    found = decide(new, old, measure="psnr_gain", allowed=ALLOWED)
    assert found.better == (not found.reasons)
    return found.reasons


def test_a_better_model_is_promoted_though_photos_differ_more_than_models() -> None:
    assert verdict(model(0.2), model(0)) == []


def test_an_equal_and_a_worse_model_are_not() -> None:
    (reason,) = verdict(model(0), model(0))
    assert reason.startswith("psnr_gain is not surely better: +0.000")
    (reason,) = verdict(model(-0.2), model(0))
    assert "-0.2" in reason


def test_a_model_that_differs_by_its_last_bits_is_not_better_though_every_photo_says_so() -> None:
    new, old = model(0), model(0)
    new["psnr_gain"] = [value + 1e-6 for value in old["psnr_gain"]]
    (reason,) = verdict(new, old)
    assert reason.startswith("psnr_gain is not surely better: +0.000")


def test_one_photo_that_gains_much_does_not_make_a_model_surely_better() -> None:
    new, old = model(0), model(0)
    new["psnr_gain"][3] += 5
    new["psnr_gain"][4] -= 1
    (reason,) = verdict(new, old)
    assert "not surely better" in reason


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"perceptual": 0.52}, "perceptual is worse by 0.020"), ({"text": 0.87}, "text_removed")],
)
def test_what_is_worse_elsewhere_by_more_than_allowed_is_not_promoted(
    changes: dict[str, float], word: str
) -> None:
    (reason,) = verdict(model(0.2, **changes), model(0))
    assert word in reason


def test_a_measure_that_neither_has_is_left_out() -> None:
    new, old = model(0.2), model(0)
    del new["text_removed"], old["text_removed"]
    assert verdict(new, old) == []


def test_for_a_distance_less_is_better() -> None:
    found = decide(
        model(0, perceptual=0.4), model(0), measure="perceptual", allowed={"psnr_gain": 0.1}
    )
    assert found.better and found.differences["perceptual"].mean == pytest.approx(0.1)
