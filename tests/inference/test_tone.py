"""How much of a change of tones is kept, apart from what is repaired."""

import numpy as np
import pytest

from lessonpipe.errors import UserError
from lessonpipe.inference.restorer import Restorer
from lessonpipe.inference.tone import keep_tones
from tests.conftest import make_picture


def faded(photo: np.ndarray) -> np.ndarray:
    """Less contrast, less colour, yellow paper: an affine map of colours."""
    grey = photo.mean(-1, keepdims=True)
    return 0.75 * (0.6 * photo + 0.4 * grey) + 0.25 * np.array([222, 196, 150])


def damaged(photo: np.ndarray) -> np.ndarray:
    """White scratches over a tenth of the picture."""
    scratched = photo.copy()
    scratched[:, ::10] = 255
    return scratched


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_without_tone_a_picture_is_repaired_and_as_faded_as_it_was(dtype: type) -> None:
    unit = np.iinfo(dtype).max / 255
    photo = np.asarray(make_picture(200, 150)).astype(float)
    original = (damaged(faded(photo)) * unit).round().astype(dtype)
    restored = (photo * unit).round().astype(dtype)
    keep_tones(restored, original, 0.0)
    error = np.abs(restored / unit - faded(photo))
    assert error.max() < 3 and error.mean() < 1  # where scratches were, too


def test_half_of_the_tone_is_half_way() -> None:
    photo = np.asarray(make_picture(200, 150)).astype(float)
    original = faded(photo).round().astype(np.uint8)
    restored = photo.round().astype(np.uint8)
    keep_tones(restored, original, 0.5)
    assert np.abs(restored - (photo + faded(photo)) / 2).max() < 3


def test_repairs_stay_where_no_tone_was_changed() -> None:
    photo = np.asarray(make_picture(200, 150))
    restored = photo.copy()
    keep_tones(restored, damaged(photo), 0.0)
    assert np.abs(restored.astype(int) - photo).max() <= 1


def test_a_picture_of_one_colour_and_one_of_grey_keep_their_own() -> None:
    for color in ([90, 90, 90], [200, 30, 60]):
        original = np.full((40, 40, 3), color, np.uint8)
        restored = original + np.uint8(12)
        keep_tones(restored, original, 0.0)
        assert np.abs(restored.astype(int) - original).max() <= 1
    grey = np.asarray(make_picture(60, 60).convert("L"))[..., None]
    restored = (grey // 2 + 60).astype(np.uint8)
    keep_tones(restored, grey, 0.0)
    assert np.abs(restored.astype(int) - grey).max() <= 2


def test_the_restorer_keeps_tones_if_asked_to(model: object) -> None:
    picture = make_picture(96, 64)
    changed, kept = (
        np.asarray(Restorer(model, tone=tone, precision="fp32")(picture)).astype(int)  # type: ignore
        for tone in (1.0, 0.0)
    )
    given = np.asarray(picture).astype(int)
    means = [np.abs((made - given).mean((0, 1))).max() for made in (changed, kept)]
    assert means[1] < 0.35 * means[0] or means[1] < 0.5
    with pytest.raises(UserError, match="a tone is a number from 0 to 1, not 2"):
        Restorer(model, tone=2)  # type: ignore[arg-type]
