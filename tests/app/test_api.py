"""The call from Python, `lessonpipe.restore`."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lessonpipe
from lessonpipe import zoo
from lessonpipe.app.cli import main
from lessonpipe.errors import MissingError, UserError
from lessonpipe.inference.restorer import Restorer
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import make_picture


def test_restore_can_be_called_again_with_the_same_result(model: Path) -> None:
    picture = make_picture(30, 20)
    first = lessonpipe.restore(picture, model)
    assert np.array_equal(lessonpipe.restore(picture, model), first)
    assert lessonpipe.restore(picture, model, scale=2).size == (60, 40)


def test_python_and_the_command_use_the_model_in_production_else_the_trained_or_the_package_s(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = make_picture(40, 30)
    picture.save("a.png")
    assert np.array_equal(lessonpipe.restore(picture), lessonpipe.restore(picture, "old-photo"))
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "no zoo")
    with pytest.raises(MissingError, match="models/fit_pixel"):
        lessonpipe.restore(picture)
    restored = []
    for name, bias in {"fit_pixel": 0.0, "in-service": 0.1}.items():
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


def test_a_path_an_array_and_a_tensor_come_back_in_kind(model: Path, tmp_path: Path) -> None:
    picture = make_picture(60, 40)
    picture.save(tmp_path / "a.png")
    expected = np.asarray(lessonpipe.restore(picture, model)).astype(int)
    of_path = lessonpipe.restore(tmp_path / "a.png", model)
    of_array = lessonpipe.restore(np.asarray(picture), model)
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    of_tensor = lessonpipe.restore(tensor, model)
    of_batch = lessonpipe.restore(torch.stack([tensor, tensor]).float() / 255, model)
    assert np.array_equal(of_path, expected) and np.array_equal(of_array, expected)
    assert of_tensor.dtype == torch.uint8 and of_tensor.shape == (3, 40, 60)
    assert np.array_equal(of_tensor.permute(1, 2, 0), expected)
    assert of_batch.dtype == torch.float32 and of_batch.shape == (2, 3, 40, 60)
    close = of_batch[1].permute(1, 2, 0).numpy() * 255
    assert np.abs(close - expected).max() < 4  # floats are restored in float32


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 2), (40, 60, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays_keep_their_shape_and_type(shape: tuple[int, ...], dtype: type, model: Path) -> None:
    values = np.random.default_rng(0).random(shape)
    top = 1 if issubclass(dtype, np.floating) else np.iinfo(dtype).max
    restored = lessonpipe.restore((values * top).astype(dtype), model)
    assert restored.shape == shape and restored.dtype == dtype
    assert restored.min() >= 0 and restored.max() <= top


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((4,), np.uint8), "shape"),
        (np.zeros((4, 4), np.int64), "uint8, uint16 or floats"),
        (np.full((4, 4), 2.0), "from 0 to 1"),
        (np.full((4, 4), np.nan), "from 0 to 1"),
        (torch.zeros(4, 4), "C H W"),
        (7, "a path, a Pillow picture"),
        ("none.png", "none.png"),
    ],
)
def test_what_is_no_picture_is_told_in_a_sentence(image: object, message: str, model: Path) -> None:
    with pytest.raises(UserError, match=message):
        lessonpipe.restore(image, model)  # type: ignore[call-overload]


def test_a_file_is_restored_with_all_that_belongs_to_it(model: Path, tmp_path: Path) -> None:
    make_picture(60, 40).convert("L").save(tmp_path / "a.tif", dpi=(300, 300))
    restorer = Restorer(model, strength=0.5, memory="4GB")
    assert restorer.restore_file(tmp_path / "a.tif", tmp_path / "b.tif", scale=2) == []
    with Image.open(tmp_path / "b.tif") as restored:
        assert (restored.mode, restored.size) == ("L", (120, 80))
        assert restored.info["dpi"] == (300, 300)


def test_importing_the_package_loads_neither_torch_nor_ray(
    door: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text(
        "import sys, lessonpipe\n"
        "print(sorted({'torch', 'ray', 'numpy', 'PIL'} & set(sys.modules)))\n"
    )
    assert door("run").stdout == "[]\n"
