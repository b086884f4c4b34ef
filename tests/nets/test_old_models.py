"""Model folders that version 0.1 wrote, before options and layers had their present names."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lessonpipe.inference.restorer import Restorer
from lessonpipe.nets.io import load_critic, read_model_json

OLD = Path(__file__).parents[1] / "fixtures/model_0_1"  # trained and used by that version


def test_an_old_generator_restores_the_same_picture() -> None:
    assert "join" in json.loads((OLD / "model.json").read_text())["build"]
    restored = Restorer(OLD, precision="fp32")(Image.open(OLD / "input.png"), scale=2)
    expected = np.asarray(Image.open(OLD / "restored.png"), dtype=int)
    # a level of rounding: another processor sums in another order
    assert np.abs(np.asarray(restored, dtype=int) - expected).max() <= 1


def test_an_old_critic_loads_with_all_its_weights() -> None:
    critic = load_critic(OLD / "critic")
    assert critic.config.model_dump() == read_model_json(OLD / "critic")["build"]
    with torch.inference_mode():
        logits = critic(torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64))
    assert logits.item() == pytest.approx(-0.2233, abs=1e-3)  # by version 0.1
