"""Restoring: any size comes back as it was, from one call, by a real if untrained network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lessonpipe
from lessonpipe.app.cli import main
from lessonpipe.errors import MissingError, UserError
from lessonpipe.inference.restorer import Restorer, pad_to_grid
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import make_picture


@pytest.fixture(scope="module")
def restorer(model: Path) -> Restorer:
    return Restorer(model, precision="fp32")


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 31), (64, 64), (65, 64), (7, 130)])
def test_restoring_keeps_the_picture_size(size: tuple[int, int], restorer: Restorer) -> None:
    made = restorer(make_picture(*size))
    assert made.size == size and made.mode == "RGB"


def test_restoring_changes_the_picture_and_not_the_one_given(restorer: Restorer) -> None:
    given = make_picture(50, 40)
    before = given.tobytes()
    made = np.asarray(restorer(given)).astype(int)
    assert 0.5 < np.abs(made - np.asarray(given)).mean() < 60
    assert given.tobytes() == before
    assert np.array_equal(made, restorer(given))


def test_an_odd_size_is_the_mirrored_picture_cut_back(restorer: Restorer) -> None:
    given = np.asarray(make_picture(80, 70))
    by_hand = np.pad(given, ((0, 96 - 70), (0, 96 - 80), (0, 0)), mode="reflect")
    whole = np.asarray(restorer(Image.fromarray(by_hand)))
    assert np.array_equal(restorer(Image.fromarray(given)), whole[:70, :80])


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (64, 96), (97, 64), (40, 2)])
def test_padding_is_to_the_grid_and_keeps_what_is_there(size: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *size)
    padded = pad_to_grid(x, 32)
    height, width = padded.shape[-2:]
    assert height % 32 == width % 32 == 0 and min(height, width) >= 64
    assert height - size[0] < 64 and width - size[1] < 64
    assert torch.equal(padded[..., : size[0], : size[1]], x)


def test_scale_and_size_enlarge_first(restorer: Restorer) -> None:
    given = make_picture(30, 20)
    assert restorer(given, scale=2.5).size == (75, 50)
    assert restorer(given, scale=0.5).size == (15, 10)
    assert restorer(given, size=(64, 90)).size == (64, 90)
    enlarged = given.resize((60, 40), Image.Resampling.BICUBIC)
    assert np.array_equal(restorer(given, scale=2), restorer(enlarged))


@pytest.mark.parametrize("scale", [0, -1, 0.01, float("nan"), float("inf"), 1e9])
def test_a_scale_that_is_none_is_refused(scale: float, restorer: Restorer) -> None:
    with pytest.raises(UserError, match="cannot"):
        restorer(make_picture(20, 20), scale=scale)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (60_000, 60_000)])
def test_a_size_that_is_none_is_refused(size: tuple[int, int], restorer: Restorer) -> None:
    with pytest.raises(UserError, match="cannot become"):
        restorer(make_picture(20, 20), size=size)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_pictures_of_any_mode_come_back_in_rgb(mode: str, restorer: Restorer) -> None:
    given = (
        Image.new(mode, (20, 10), 900)
        if mode == "I;16"
        else make_picture(20, 10).convert("RGBA" if mode == "LA" else "RGB").convert(mode)
    )
    made = restorer(given)
    assert made.mode == "RGB" and made.size == (20, 10)


def test_restore_is_a_function_that_can_be_called_again(model: Path) -> None:
    given = make_picture(30, 20)
    first = lessonpipe.restore(given, model)
    assert np.array_equal(lessonpipe.restore(given, model), first)
    assert lessonpipe.restore(given, model, scale=2).size == (60, 40)


def test_python_and_the_command_take_the_model_in_service_or_else_the_trained_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = make_picture(40, 30)
    given.save("a.png")
    with pytest.raises(MissingError, match="models/fit_feature"):
        lessonpipe.restore(given)
    made = []
    for name, bias in {"fit_feature": 0.0, "in-service": 0.1}.items():
        net = load_generator(model)
        torch.nn.init.constant_(net.unet.answer[0].bias, bias)
        save_model(Path("models") / name, net, {})
        made.append(lessonpipe.restore(given))
        assert main(["restore", "a.png", "-o", name]) == 0
        assert np.array_equal(Image.open(f"{name}/a.png"), made[-1])
    assert not np.array_equal(*made)


def test_restore_turns_a_picture_as_its_exif_says(model: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    make_picture(30, 20).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as lying:
        assert lessonpipe.restore(lying, model).size == (20, 30)


def test_a_model_folder_gives_back_the_same_network(model: Path, tmp_path: Path) -> None:
    net = load_generator(model)
    save_model(tmp_path / "again", net, {})
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_generator(tmp_path / "again")(x), net(x))


def test_whoever_may_read_the_folder_may_read_the_model(model: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "again", load_generator(model), {})
    beside = tmp_path / "any"
    beside.touch()
    modes = {file.stat().st_mode for file in (*(tmp_path / "again").iterdir(), beside)}
    assert modes == {beside.stat().st_mode}  # as the umask has it


def test_building_a_model_leaves_the_random_numbers_alone(model: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_generator(model)
    assert torch.equal(torch.rand(3), expected)


def test_a_folder_that_holds_no_model_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no model\.json.*dvc repro"):
        load_generator(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.safetensors", b"", "damaged"),
        ("model.safetensors", b"x" * 1000, "damaged"),
        ("model.safetensors", None, "incomplete"),
        ("model.json", b"{", "damaged"),
        ("model.json", b"[]", "damaged"),
        ("model.json", b"{}", "damaged"),
        ("model.json", b"\xff\xfe", "damaged"),
        ("model.json", b'{"kind": "critic", "build": {}}', "holds a critic"),
        ("model.json", b'{"kind": "generator", "build": {"depth": 3}}', "cannot build it"),
        ("model.json", b'{"kind": "generator", "build": {"encoder": "no"}}', "'no'"),
        ("model.json", b'{"kind": "generator", "build": {"encoder": "resnet18"}}', "another"),
    ],
)
def test_a_damaged_model_is_refused_in_a_sentence(
    file: str, content: bytes | None, words: str, model: Path, tmp_path: Path
) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=words) as told:
        load_generator(tmp_path)
    assert str(tmp_path) in str(told.value) or words == "'no'"


def test_a_model_cut_short_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((model / "model.json").read_bytes())
    whole = (model / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        load_generator(tmp_path)


def test_a_model_that_was_trained_again_is_loaded_again(model: Path, tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    picture = make_picture(70, 50)
    before = lessonpipe.restore(picture, tmp_path)
    net = load_generator(tmp_path)
    with torch.no_grad():
        for parameter in net.unet.answer.parameters():
            parameter.add_(0.5)
    save_model(tmp_path, net, {})
    assert lessonpipe.restore(picture, tmp_path).tobytes() != before.tobytes()
