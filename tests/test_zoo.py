"""The models that the package carries: whole, small, found by name, listed with their cards."""

import shutil
from pathlib import Path

import pytest

from lessonpipe import zoo
from lessonpipe.app import registry
from lessonpipe.app.cli import main
from lessonpipe.app.release import HEADINGS, MAX_BYTES
from lessonpipe.io.atomic import read_json, write_json
from lessonpipe.nets.io import load_generator
from tests.conftest import ROOT


def test_restoring_without_training_has_a_model() -> None:
    assert {"enlarge", "lesson", "old-photo", "old-photo-small"} <= set(zoo.names())


@pytest.mark.parametrize("name", zoo.names())
def test_a_model_is_small_and_has_the_card_that_its_profile_says(name: str) -> None:
    folder = zoo.find_model(name)
    assert {path.name for path in folder.iterdir()} == {
        *("model.safetensors", "model.json", "README.md", "examples.jpg"),
    }
    assert (folder / "model.safetensors").stat().st_size <= MAX_BYTES == 11_000_000
    assert load_generator(folder).config.encoder == "tf_efficientnet_lite0"
    card = (folder / "README.md").read_text()
    for heading in ("## Measures", "## Damage", *HEADINGS):
        assert heading in card
    head = (ROOT / f"profiles/{name}.md").read_text().strip()
    assert card.startswith(head)
    about = read_json(folder / "model.json")["card"]
    assert f"These weights are under {about['licence']}" in card
    summary = about["summary"]
    assert summary == head.split("\n\n")[1].replace("\n", " ")


def test_a_name_is_a_model_of_the_package_unless_a_folder_here_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    (tmp_path / "zoo/tiny").mkdir(parents=True)
    assert zoo.find_model("tiny") == Path("tiny")  # a folder without a model
    (tmp_path / "zoo/tiny/model.json").write_text("{}")
    assert zoo.names() == ["tiny"]
    assert zoo.find_model("tiny") == tmp_path / "zoo/tiny"
    assert zoo.find_model("models/tiny") == Path("models/tiny")
    (tmp_path / "tiny").mkdir()
    assert zoo.find_model("tiny") == Path("tiny")


def test_a_project_s_own_model_comes_before_the_package_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    assert registry.default_model() == registry.TRAINED  # there is none: how to get one is told
    for name in ("old-photo", "enlarge"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        (tmp_path / "zoo" / name / "model.json").write_text("{}")
    assert registry.default_model() == tmp_path / "zoo/old-photo"
    assert registry.default_model(enlarges=True) == tmp_path / "zoo/enlarge"
    for folder in (registry.TRAINED, registry.PRODUCTION):
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        assert registry.default_model() == registry.default_model(enlarges=True) == folder


def test_the_models_at_hand_are_listed_with_what_their_cards_say(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("no model is at hand")
    shutil.copytree(model, tmp_path / "zoo/tiny")
    config = read_json(tmp_path / "zoo/tiny/model.json")
    gain = {"mean": 1.5, "low": 1.0, "high": 2.0}
    card = {
        "summary": "For tests.",
        "licence": "MIT",
        "measures": {"psnr_gain": gain, "text_removed": gain, "clean_psnr": gain},
    }
    write_json(tmp_path / "zoo/tiny/model.json", {**config, "undoes": ["text"], "card": card})
    (tmp_path / "zoo/tiny/README.md").write_text("# tiny\n")
    shutil.copytree(model, registry.TRAINED)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["tiny: For tests.", "  undoes text"]
    assert lines[2] == (
        "  +1.50 dB (+1.00…+2.00), text removed 1.50, undamaged photos after it 1.5 dB"
    )
    assert lines[3].endswith(f"MB, MIT, {tmp_path / 'zoo/tiny/README.md'}")
    assert lines[4] == "models/fit_pixel" and len(lines) == 6
