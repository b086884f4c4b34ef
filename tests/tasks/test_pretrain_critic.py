"""The critic's batches count pictures, half of them generated."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from lessonpipe.config import Phase
from lessonpipe.data.augment import Augment
from lessonpipe.data.pairs import PairData
from lessonpipe.device import Worker
from tasks.pretrain_critic import CriticData, CriticPhase

HERE = Worker(torch.device("cpu"), torch.float32)
PHASE = {"image_px": 64, "epochs": 1, "max_lr": 1e-3}


def test_a_batch_of_eight_pictures_is_four_pairs(pairs: Path) -> None:
    data = CriticData(pairs, Augment(), 1, HERE)
    phase = CriticPhase(**PHASE, batch=8, samples_per_epoch=16)
    by_pairs = PairData(pairs, Augment(), 1, HERE)
    same = Phase(**PHASE, batch=4, samples_per_epoch=8)
    for ours, theirs in (
        (data.train_batches(phase).epoch(0), by_pairs.train_batches(same).epoch(0)),
        (data.valid_batches(phase), by_pairs.valid_batches(same)),
    ):
        for (x, y, weight), (a, b, other) in zip(ours, theirs, strict=True):
            assert torch.equal(x, a) and torch.equal(y, b) and weight == other
            assert len(x) + len(y) <= 8
    assert data.train_batches(phase).steps == 2


def test_an_odd_number_of_pictures_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 2"):
        CriticPhase(**PHASE, batch=7)
