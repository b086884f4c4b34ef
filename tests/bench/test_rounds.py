"""What the bench makes of its figures."""

import pytest

pytest.importorskip("fastai")  # the bench's peer; `machine` tells its version

from tests.bench.__main__ import markdown
from tests.bench.rounds import OURS, Row, contest, machine


def test_contestants_take_turns_and_the_first_time_does_not_count():
    calls: list[str] = []
    works = {name: lambda name=name: calls.append(name) for name in (OURS, "peer")}
    row = contest("train", "a step", works, rounds=3)
    assert calls == [OURS, "peer", OURS, "peer", "peer", OURS, OURS, "peer"]
    assert {name: len(values) for name, values in row.values.items()} == {OURS: 3, "peer": 3}


def test_a_ratio_is_the_median_of_the_rounds_with_its_spread():
    row = Row("train", "a step", "s", {OURS: [1.0, 2.0, 1.0], "peer": [2.0, 6.0, 5.0]})
    assert row.ratios("peer") == [2.0, 3.0, 5.0]
    assert "3.00 x (2.00 to 5.00)" in row.lines()[0]
    table = markdown({"train": {"machine": machine(), "rows": [row.as_json()]}})
    assert "| train | a step | peer | 3.00 (2.00…5.00) | 1 s |" in table
    assert "Measured on" in table
