"""A trained restorer goes into the model zoo: halved weights, its card, and pictures."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lessonpipe.app import release as module
from lessonpipe.app.release import halved, release
from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import read_json, write_json
from lessonpipe.report.evaluation import EvaluationParams
from tests.report.pairs import RECIPES, validation_pairs

ABOUT = """# tiny

Undoes text,
for tests.

## What it does not

Anything else.

## Photos and licences

None.
"""
PARAMS = EvaluationParams(
    precision="fp32", batch=4, encoder="test_efficientnet", pretrained=False, grid_rows=2
)


@pytest.fixture
def trained(model: Path, tmp_path: Path) -> Path:
    """A model folder as the pipeline leaves it, and beside it the text about the model."""
    folder = tmp_path / "trained"
    shutil.copytree(model, folder)
    config = read_json(folder / "model.json")
    config["about"]["image_px"] = 64
    write_json(
        folder / "model.json",
        {
            **config,
            "recipe": RECIPES["lesson"],
            "undoes": ["written text"],
            "lineage": {"commit": "abc1234", "params": {"seed": 7}},
        },
    )
    (tmp_path / "about.md").write_text(ABOUT)
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return validation_pairs(RECIPES["lesson"], tmp_path / "photos", tmp_path / "pairs")


def test_what_is_released_is_a_model_folder_with_a_card(
    trained: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = tmp_path / "zoo"
    release("tiny", tmp_path / "about.md", RECIPES["lesson"], PARAMS, trained, pairs, zoo)
    given, released = (load_file(f / "model.safetensors") for f in (trained, zoo / "tiny"))
    assert given.keys() == released.keys()
    for name, w in given.items():
        assert released[name].dtype == (torch.float16 if w.is_floating_point() else w.dtype)
        assert torch.allclose(released[name].float(), w.float(), rtol=1e-3, atol=1e-4)
    config = read_json(zoo / "tiny/model.json")
    assert config["card"]["summary"] == "Undoes text, for tests."
    assert set(config["card"]["measures"]) == {"psnr_gain", "text_removed", "clean_psnr"}
    card = (zoo / "tiny/README.md").read_text()
    assert card.startswith(ABOUT.strip())
    for words in ("| 64 | restored |", "3 photos", "6 tiles", "- resize: {shorter: 96}", "abc1234"):
        assert words in card
    assert Image.open(zoo / "tiny/examples.jpg").width > 3 * 64


def test_what_half_precision_cannot_hold_keeps_its_bits() -> None:
    tiny = torch.tensor([1e-6, 3e-5, 0.5])
    weights = {"conv": torch.full((2, 2), 0.1), "var": torch.tensor([1e6]), "n": torch.tensor(3)}
    made = halved(weights | {"tiny": tiny})
    assert made["conv"].dtype == made["tiny"].dtype == torch.float16
    assert (made["tiny"].float() - tiny).abs()[:2].max() <= 3e-8
    assert made["var"].item() == 1e6 and made["n"].dtype == torch.int64


def test_a_model_without_a_text_or_without_weights_is_refused_and_leaves_nothing(
    trained: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo, steps = tmp_path / "zoo", RECIPES["lesson"]
    with pytest.raises(UserError, match=r"other\.md is not there; write what the model does"):
        release("other", Path("other.md"), steps, PARAMS, trained, pairs, zoo)
    with pytest.raises(MissingError, match="nowhere is not a model folder"):
        release("a", tmp_path / "about.md", steps, PARAMS, tmp_path / "nowhere", pairs, zoo)
    with pytest.raises(UserError, match="another recipe; `make release MODEL=a` trains"):
        release("a", tmp_path / "about.md", RECIPES["jpeg"], PARAMS, trained, pairs, zoo)
    (tmp_path / "bare.md").write_text("# a\n\nA summary.\n\n## What it does not\n")
    with pytest.raises(UserError, match="needs a title, a summary, ## What it does"):
        release("a", tmp_path / "bare.md", steps, PARAMS, trained, pairs, zoo)
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="in half precision, over 1000"):
        release("a", tmp_path / "about.md", steps, PARAMS, trained, pairs, zoo)
    assert not list(zoo.glob("*"))
