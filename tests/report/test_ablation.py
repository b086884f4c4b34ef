"""Differences are paired, their intervals honest, and the table says which can be told."""

import numpy as np
import pytest

from lessonpipe.report.ablation import bootstrap_difference, table


def test_a_difference_is_the_mean_of_the_pairs():
    d = bootstrap_difference([[2.0, 3.0], [4.0, 5.0]], [[1.0, 2.0], [3.0, 3.0]])
    assert d.mean == pytest.approx((1 + 1 + 1 + 2) / 4)
    assert d.low <= d.mean <= d.high


def test_a_gain_that_every_photo_and_seed_has_is_told_and_noise_is_not():
    rng = np.random.default_rng(0)
    old = rng.normal(30, 3, (3, 7))  # photos differ far more than the two ways do
    assert bootstrap_difference(old + 0.2 + rng.normal(0, 0.02, (3, 7)), old).told
    assert not bootstrap_difference(old + rng.normal(0, 0.2, (3, 7)), old).told


def test_a_gain_of_one_seed_alone_is_not_told():
    old = np.zeros((3, 7))
    new = np.zeros((3, 7))
    new[0] = 1.0
    assert not bootstrap_difference(new, old).told


def test_the_table_has_a_row_an_arm_and_sets_what_can_be_told_in_bold():
    same, more = [[1.0, 2.0]] * 3, [[1.5, 2.5]] * 3
    arms = {
        "off": {"psnr_gain": same, "sharpness": same},
        "on": {"psnr_gain": more, "sharpness": same},
    }
    lines = table(arms, {"off": 10.2, "on": 12.0}).splitlines()
    assert lines[0] == "| | PSNR gained, dB | sharpness | seconds |"
    assert lines[2] == "| off | 1.500 | 1.500 | 10 |"
    assert "**+0.500** (+0.500…+0.500)" in lines[3]
    assert "**+0.000**" not in lines[3]
    assert lines[3].endswith("| 12 |")
