"""Figures of another run beside the best epoch of this one."""

from pathlib import Path

import pytest

from lessonpipe.errors import UserError
from lessonpipe.report.reference import ReferenceFigure, compare_to_reference, reference_table

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


def figure(stage: str = "fit", column: str = "valid_loss", image_px: int = 128) -> ReferenceFigure:
    return ReferenceFigure(stage=stage, column=column, image_px=image_px, value=0.25)


def test_the_best_epoch_has_the_lowest_loss_or_the_highest_accuracy_at_that_size(
    histories: dict[str, Path],
) -> None:
    found = compare_to_reference(
        [figure(), figure(column="valid_accuracy"), figure(image_px=256)], histories
    )
    assert found == {
        "fit valid_loss at 128": {"ours": 0.3, "reached": 0.25},
        "fit valid_accuracy at 128": {"ours": 0.9, "reached": 0.25},
        "fit valid_loss at 256": {"ours": 0.1, "reached": 0.25},
    }
    assert "| fit valid_loss at 128 | 0.3000 | 0.2500 |" in reference_table(found).markdown()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stage": "gan"}, "no stage with a history is called 'gan'; choose one of: fit"),
        ({"column": "loss"}, "no column of fit is called 'loss'; choose one of: epoch, px, valid"),
        ({"image_px": 64}, "no size of fit is called '64'; choose one of: 128, 256"),
    ],
)
def test_an_unknown_stage_column_or_size_is_refused_with_the_known_ones(
    histories: dict[str, Path], wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        compare_to_reference([figure(**wrong)], histories)  # type: ignore[arg-type]
