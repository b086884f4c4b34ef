"""The comparison with other programs: its pictures, its damage and its measures."""

import numpy as np
import pytest
from PIL import Image

from tests.bench.another_hand import PX, crops, damaged, small
from tests.bench.peers import Row, _left


def test_the_crops_are_the_same_each_time_and_of_six_photos() -> None:
    first, again = list(crops(2)), list(crops(2))
    assert len({photo for photo, _, _ in first}) == 6 and len(first) == 12
    assert all(a[2].tobytes() == b[2].tobytes() for a, b in zip(first, again, strict=True))
    assert {crop.size for _, _, crop in first} == {(PX, PX)}


def test_damage_is_where_the_mask_says_and_nowhere_else() -> None:
    shares = []
    for photo, number, crop in crops(2):
        case = damaged(photo, number, crop)
        pictures = (np.asarray(p, int) for p in (case.damaged, case.without_local))
        changed = np.abs(np.subtract(*pictures)).max(-1)
        assert changed[~case.mask].max() <= 5
        if case.mask.any():  # what was white stays so under white dust
            assert (changed[case.mask] > 3).mean() > 0.8
        shares.append(case.mask.mean())
        assert damaged(photo, number, crop).damaged.tobytes() == case.damaged.tobytes()
    assert 0.01 < np.mean(shares) < 0.3


def test_worn_pictures_are_a_quarter_and_differ_from_clean_ones() -> None:
    _, _, crop = next(crops(1))
    clean, worn = (small(crop, "a", worn=worn) for worn in (False, True))
    assert clean.size == worn.size == (PX // 4, PX // 4)
    assert clean.tobytes() == crop.resize((64, 64), Image.Resampling.BICUBIC).tobytes()
    assert np.abs(np.asarray(clean, int) - np.asarray(worn, int)).mean() > 1


def test_nothing_removed_is_0_and_everything_is_1() -> None:
    photo, number, crop = next(crops(1))
    case = damaged(photo, number, crop)
    assert _left(case.damaged, case.without_local, case)["removed"] == pytest.approx(0)
    assert _left(case.without_local, case.without_local, case) == {"removed": 1, "ghost": 0}


def test_a_mean_is_over_photos_not_over_crops() -> None:
    row = Row()
    for value in (0.0, 0.0, 0.0):
        row.add("a", ssim=value)
    row.add("b", ssim=1.0)
    assert row.cell("ssim") == "0.500" and row.cell("ghost") == "–"
