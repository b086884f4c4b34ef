"""Restoring by a small, untrained network: sizes, modes, and model folders that are no good."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lessonpipe.errors import MissingError, UserError
from lessonpipe.inference.pixels import Pixels
from lessonpipe.inference.restorer import Restorer, pad_to_grid
from lessonpipe.nets.io import load_generator, save_model
from tests.conftest import make_picture


@pytest.fixture(scope="module")
def restorer(model: Path) -> Restorer:
    return Restorer(model, precision="fp32")


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 31), (64, 64), (65, 64), (7, 130)])
def test_restoring_keeps_the_picture_size(size: tuple[int, int], restorer: Restorer) -> None:
    restored = restorer(make_picture(*size))
    assert restored.size == size and restored.mode == "RGB"


def test_restoring_returns_another_picture_and_leaves_the_argument_alone(
    restorer: Restorer,
) -> None:
    picture = make_picture(50, 40)
    before = picture.tobytes()
    restored = np.asarray(restorer(picture)).astype(int)
    assert 0.5 < np.abs(restored - np.asarray(picture)).mean() < 60
    assert picture.tobytes() == before
    assert np.array_equal(restored, restorer(picture))


def test_a_picture_is_padded_by_its_last_pixels_on_all_sides_and_cut_back(
    restorer: Restorer,
) -> None:
    pixels = np.asarray(make_picture(80, 70))
    padded = np.pad(pixels, ((32, 192 - 32 - 70), (32, 192 - 32 - 80), (0, 0)), mode="edge")
    x = torch.from_numpy(padded).permute(2, 0, 1)[None] / 255
    restored = restorer.run(x)[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().numpy()
    made = np.asarray(restorer(Image.fromarray(pixels))).astype(int)
    assert np.abs(made - restored[32:102, 32:112]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (31, 200), (64, 96), (97, 64), (40, 2)])
def test_padding_is_to_the_grid_and_leaves_the_picture_alone(size: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *size)
    padded = pad_to_grid(x, 32)
    height, width = padded.shape[-2:]
    assert height % 32 == width % 32 == 0 and min(height, width) >= 64
    assert height - size[0] < 64 and width - size[1] < 64
    assert torch.equal(padded[..., : size[0], : size[1]], x)


def test_a_line_of_pixels_counts_with_its_margins(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="with margins they are 192 million"):
        restorer.restore_pixels(Pixels(np.zeros((1, 2_000_000, 1), np.uint8)))
    budget = 100_000 * restorer.bytes_per_pixel * 4
    monkeypatch.setattr(Restorer, "_budget", lambda *_: budget)
    assert restorer.is_tiled((100_000, 1)) and not restorer.is_tiled((300, 300))


def test_scale_and_size_enlarge_first(restorer: Restorer) -> None:
    picture = make_picture(30, 20)
    assert restorer(picture, scale=2.5).size == (75, 50)
    assert restorer(picture, scale=0.5).size == (15, 10)
    assert restorer(picture, size=(64, 90)).size == (64, 90)
    enlarged = picture.resize((60, 40), Image.Resampling.BICUBIC)
    assert np.array_equal(restorer(picture, scale=2), restorer(enlarged))


@pytest.mark.parametrize("scale", [0, -1, 0.01, float("nan"), float("inf"), 1e9])
def test_an_impossible_scale_is_refused(scale: float, restorer: Restorer) -> None:
    with pytest.raises(UserError, match="cannot"):
        restorer(make_picture(20, 20), scale=scale)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (60_000, 60_000)])
def test_an_impossible_size_is_refused(size: tuple[int, int], restorer: Restorer) -> None:
    with pytest.raises(UserError, match="cannot become"):
        restorer(make_picture(20, 20), size=size)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        *[("L", "L"), ("1", "L"), ("I;16", "I;16"), ("LA", "LA"), ("RGBA", "RGBA")],
        *[("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("RGB", "RGB")],
    ],
)
def test_grey_transparency_and_16_bits_come_back(
    mode: str, expected: str, restorer: Restorer
) -> None:
    picture = (
        Image.new(mode, (20, 10), 900)
        if mode == "I;16"
        else make_picture(20, 10).convert("RGBA" if mode == "LA" else "RGB").convert(mode)
    )
    restored = restorer(picture)
    assert restored.mode == expected and restored.size == (20, 10)


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


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no model\.json") as error:
        load_generator(tmp_path)
    assert error.value.path == tmp_path and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
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
    file: str, content: bytes | None, message: str, model: Path, tmp_path: Path
) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        load_generator(tmp_path)
    assert str(tmp_path) in str(error.value) or message == "'no'"


def test_a_model_cut_short_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((model / "model.json").read_bytes())
    weights = (model / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match="damaged"):
        load_generator(tmp_path)
