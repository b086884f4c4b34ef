"""A model is promoted if it is surely better, and no metric is worse than tolerated."""

import numpy as np
import pytest

from lessonpipe.report.promotion import decide

PHOTOS = 12
TOLERANCES = {"perceptual": 0.01, "text_removed": 0.02}


def model(gain: float, perceptual: float = 0.5, text: float = 0.9) -> dict[str, list[float]]:
    """Photos differ much more from each other than models do."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 2, PHOTOS)
    return {
        "psnr_gain": (2 + difficulty + gain + rng.normal(0, 0.05, PHOTOS)).tolist(),
        "perceptual": (perceptual + difficulty / 50).tolist(),
        "text_removed": np.full(PHOTOS, text).tolist(),
    }


def reasons_against(new: dict[str, list[float]], old: dict[str, list[float]]) -> list[str]:
    decision = decide(new, old, metric="psnr_gain", tolerances=TOLERANCES)
    assert decision.better == (not decision.reasons)
    return decision.reasons


def test_a_better_model_is_promoted_though_photos_differ_more_than_models() -> None:
    assert reasons_against(model(0.2), model(0)) == []


def test_an_equal_and_a_worse_model_are_not() -> None:
    (reason,) = reasons_against(model(0), model(0))
    assert reason.startswith("psnr_gain is not surely better: +0.000")
    (reason,) = reasons_against(model(-0.2), model(0))
    assert "-0.2" in reason


def test_a_gain_of_the_last_bits_is_not_better_though_every_photo_has_it() -> None:
    new, old = model(0), model(0)
    new["psnr_gain"] = [value + 1e-6 for value in old["psnr_gain"]]
    (reason,) = reasons_against(new, old)
    assert reason.startswith("psnr_gain is not surely better: +0.000")


def test_one_photo_that_gains_much_does_not_make_a_model_surely_better() -> None:
    new, old = model(0), model(0)
    new["psnr_gain"][3] += 5
    new["psnr_gain"][4] -= 1
    (reason,) = reasons_against(new, old)
    assert "not surely better" in reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"perceptual": 0.52}, "perceptual is worse by 0.020"), ({"text": 0.87}, "text_removed")],
)
def test_a_model_whose_other_metric_is_worse_than_tolerated_is_not_promoted(
    changes: dict[str, float], message: str
) -> None:
    (reason,) = reasons_against(model(0.2, **changes), model(0))
    assert message in reason


def test_a_metric_that_neither_model_has_is_left_out() -> None:
    new, old = model(0.2), model(0)
    del new["text_removed"], old["text_removed"]
    assert reasons_against(new, old) == []


def test_a_smaller_distance_is_better() -> None:
    decision = decide(
        model(0, perceptual=0.4), model(0), metric="perceptual", tolerances={"psnr_gain": 0.1}
    )
    assert decision.better and decision.differences["perceptual"].mean == pytest.approx(0.1)
