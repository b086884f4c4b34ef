"""Figures of another run stand beside our best epoch."""

from pathlib import Path

import pytest

from lessonpipe.errors import UserError
from lessonpipe.report.reference import ReferenceFigure, compare_to_reference, table

HISTORY = """epoch,px,valid_loss,valid_accuracy
1,128,0.5,0.8
2,128,0.3,0.9
3,128,0.4,0.7
4,256,0.1,0.6
"""


@pytest.fixture
def histories(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "history.csv").write_text(HISTORY)
    return {"fit": tmp_path / "history.csv"}


def reached(stage: str = "fit", what: str = "valid_loss", image_px: int = 128) -> ReferenceFigure:
    return ReferenceFigure(stage=stage, what=what, image_px=image_px, reached=0.25)


def test_ours_is_the_lowest_loss_and_the_highest_accuracy_at_that_size(
    histories: dict[str, Path],
) -> None:
    found = compare_to_reference(
        [reached(), reached(what="valid_accuracy"), reached(image_px=256)], histories
    )
    assert found == {
        "fit valid_loss at 128": {"ours": 0.3, "reached": 0.25},
        "fit valid_accuracy at 128": {"ours": 0.9, "reached": 0.25},
        "fit valid_loss at 256": {"ours": 0.1, "reached": 0.25},
    }
    assert "<td>0.3000</td><td>0.2500</td>" in table(found)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stage": "gan"}, "no stage with a history is called 'gan'; choose one of: fit"),
        ({"what": "loss"}, "no column of fit is called 'loss'; choose one of: epoch, px, valid"),
        ({"image_px": 64}, "no size of fit is called '64'; choose one of: 128, 256"),
    ],
)
def test_what_no_history_has_is_said(
    histories: dict[str, Path], wrong: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        compare_to_reference([reached(**wrong)], histories)  # type: ignore[arg-type]
