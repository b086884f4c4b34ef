"""The models that the package carries: whole, small, found by name, and as good as their cards."""

from pathlib import Path

import pytest

from lessonpipe import zoo
from lessonpipe.app import registry
from lessonpipe.app.cli import main
from lessonpipe.io.atomic import read_json
from lessonpipe.nets.io import load_generator
from tests.conftest import ROOT


@pytest.mark.parametrize("name", zoo.names())
def test_a_model_is_small_and_has_a_card_and_a_profile(name: str) -> None:
    folder = zoo.find_model(name)
    assert {path.name for path in folder.iterdir()} == {
        *("model.safetensors", "model.json", "README.md", "examples.jpg"),
    }
    assert (folder / "model.safetensors").stat().st_size <= 11_000_000
    assert load_generator(folder).config.encoder == "tf_efficientnet_lite0"
    card = (folder / "README.md").read_text()
    for heading in ("## Measures", "## Damage", "## Photos and licences", "## What it does not"):
        assert heading in card
    assert read_json(folder / "model.json")["card"]["summary"]
    assert (ROOT / f"profiles/{name}.yaml").is_file()
    assert card.startswith((ROOT / f"profiles/{name}.md").read_text().strip())


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


def test_the_models_at_hand_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    for name in zoo.names():
        assert f"{name}: " in listed and f"{zoo.find_model(name) / 'README.md'}" in listed
