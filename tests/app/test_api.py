"""The call from Python, `lessonpipe.restore`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lessonpipe
from lessonpipe.app.cli import main
from lessonpipe.errors import MissingError
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import make_picture


def test_restore_can_be_called_again_with_the_same_result(model: Path) -> None:
    picture = make_picture(30, 20)
    first = lessonpipe.restore(picture, model)
    assert np.array_equal(lessonpipe.restore(picture, model), first)
    assert lessonpipe.restore(picture, model, scale=2).size == (60, 40)


def test_python_and_the_command_use_the_model_in_production_or_else_the_trained_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = make_picture(40, 30)
    picture.save("a.png")
    with pytest.raises(MissingError, match="models/fit_feature"):
        lessonpipe.restore(picture)
    restored = []
    for name, bias in {"fit_feature": 0.0, "in-service": 0.1}.items():
        net = load_generator(model)
        torch.nn.init.constant_(net.unet.output[0].bias, bias)
        save_model(Path("models") / name, net, {})
        restored.append(lessonpipe.restore(picture))
        assert main(["restore", "a.png", "-o", name]) == 0
        assert np.array_equal(Image.open(f"{name}/a.png"), restored[-1])
    assert not np.array_equal(*restored)


def test_restore_turns_a_picture_as_its_exif_says(model: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    make_picture(30, 20).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        assert lessonpipe.restore(picture, model).size == (20, 30)


def test_a_model_that_was_trained_again_is_loaded_again(model: Path, tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    picture = make_picture(70, 50)
    before = lessonpipe.restore(picture, tmp_path)
    net = load_generator(tmp_path)
    with torch.no_grad():
        for parameter in net.unet.output.parameters():
            parameter.add_(0.5)
    save_model(tmp_path, net, {})
    assert lessonpipe.restore(picture, tmp_path).tobytes() != before.tobytes()
