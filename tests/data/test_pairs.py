"""Batches of pairs: the same for any workers, both sides of the same place, on a device."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lessonpipe.config import Phase
from lessonpipe.data.augment import Augment
from lessonpipe.data.manifest import Manifest, Pair
from lessonpipe.data.pairs import CPU, PairData, Pairs, center_square, room
from lessonpipe.data.pictures import to_tensor
from lessonpipe.data.sampling import Sampling
from lessonpipe.device import Worker
from tests.conftest import make_picture

PHASE = Phase(image_px=32, batch=4, epochs=1, max_lr=1e-3)
LESSON = Augment(rotate=10, zoom=2, warp=0.2, light=0.2)
EYE = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole photos of several sizes as pairs, the crappy side a third of the size: smooth."""
    out = tmp_path_factory.mktemp("whole")
    pairs = []
    for side in ("good", "crappy"):
        (out / side).mkdir()
    for i, size in enumerate([(144, 96), (96, 144), (120, 99), (96, 96), (150, 100), (96, 120)]):
        good = make_picture(8, 6, seed=i).resize(size, Image.Resampling.BICUBIC)
        name, split = f"{i}.png", "valid" if i == 5 else "train"
        good.save(out / "good" / name)
        good.resize((size[0] // 3, size[1] // 3), Image.Resampling.BOX).save(out / "crappy" / name)
        pairs.append(Pair(name, name, name, split, f"good/{name}", f"crappy/{name}", ""))
    Manifest([], (10, 70), 0, pairs).write(out)
    return out


@pytest.fixture(autouse=True)
def no_loaders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSONPIPE_LOADERS", "0")


def worker(device: str = "cpu", rank: int = 0, world: int = 1) -> Worker:
    return Worker(torch.device(device), torch.float32, rank, world)


def epoch(folder: Path, augment: Augment, number: int = 0, **of: Any) -> list[tuple[Tensor, ...]]:
    data = PairData(folder, augment, 42, worker(**of))
    return [(x, y) for x, y, _ in data.train_batches(PHASE).epoch(number)]


@pytest.mark.parametrize("augment", [Augment(), LESSON], ids=["flip", "lesson"])
def test_the_pictures_are_the_same_for_any_number_of_workers(
    folder: Path, augment: Augment
) -> None:
    whole = epoch(folder, augment)
    assert [len(x) for x, _ in whole] == [4, 1]
    first, second = (epoch(folder, augment, rank=rank, world=2) for rank in range(2))
    for i in range(2):
        assert torch.equal(torch.cat([first[0][i], second[0][i]]), whole[0][i])
    assert torch.equal(second[1][0], whole[1][0])
    again, other = epoch(folder, augment), epoch(folder, augment, 1)
    assert torch.equal(again[0][0], whole[0][0]) and not torch.equal(other[0][0], whole[0][0])


def test_both_sides_of_a_moved_pair_show_the_same_place(folder: Path) -> None:
    augment = LESSON.model_copy(update={"light": 0.0})
    batches = [batch for n in range(4) for batch in epoch(folder, augment, n)]
    x, y = (torch.cat(column) for column in zip(*batches, strict=True))
    apart = (x - y).abs().mean((1, 2, 3))
    assert apart.max() < 0.05
    assert apart.mean() < 0.2 * (x - y.roll(1, 0)).abs().mean()


def test_with_flips_alone_a_view_is_the_middle_square_or_its_mirror_image(folder: Path) -> None:
    squares = {
        to_tensor(center_square(Image.open(path), 32)).numpy().tobytes(): path.name
        for path in sorted((folder / "good").iterdir())
    }
    found = []
    for _, y in epoch(folder, Augment()):
        for one in (y * 255).round().to(torch.uint8):
            sides = (one, one.flip(-1))
            found += [squares[s.numpy().tobytes()] for s in sides if s.numpy().tobytes() in squares]
    assert sorted(found) == [f"{i}.png" for i in range(5)]


def test_validation_shows_the_middle_square(folder: Path) -> None:
    ((_, y, count),) = PairData(folder, LESSON, 42, worker()).valid_batches(PHASE)
    expected = to_tensor(center_square(Image.open(folder / "good/5.png"), 32))
    assert count == 1 and torch.equal((y[0] * 255).round().to(torch.uint8), expected)


def test_a_generated_square_is_not_squeezed_into_the_photos_frame(
    folder: Path, tmp_path: Path
) -> None:
    square = make_picture(48, 48, seed=9)
    square.save(tmp_path / "0.png.png")  # of a photo of 144x96
    pairs = Pairs(folder, "train", 48, tmp_path, keep=False)
    generated, good = pairs.sampled(0, Sampling(EYE, EYE, crop=(0.3, 0.9)))
    assert np.abs(generated.numpy() - to_tensor(square).numpy()).max() < 0.01
    assert good.shape == generated.shape == (3, 48, 48)


@pytest.mark.parametrize("loaders", ["0", "1"])
def test_pictures_that_are_kept_are_those_that_are_loaded_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loaders: str
) -> None:
    augment = Augment(light=0.2)
    kept = epoch(folder, augment)
    valid = list(PairData(folder, augment, 42, worker()).valid_batches(PHASE))
    monkeypatch.setenv("LESSONPIPE_CACHE_GB", "0")
    monkeypatch.setenv("LESSONPIPE_LOADERS", loaders)
    assert PairData(folder, augment, 42, worker()).pairs("train", 32).kept is None
    for (x, y), (again_x, again_y) in zip(kept, epoch(folder, augment), strict=True):
        assert torch.equal(x, again_x) and torch.equal(y, again_y)
    ((x, y, _),) = PairData(folder, augment, 42, worker()).valid_batches(PHASE)
    assert torch.equal(x, valid[0][0]) and torch.equal(y, valid[0][1])


def test_pairs_stay_in_this_machines_memory_where_a_quarter_of_the_gpu_is_too_little(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 2 * 5 * 3 * 32 * 32
    gpu, meta = torch.device("cuda"), torch.device("meta")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * size, 10**12))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5 * size)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 4 * size)
    assert room(gpu) == size
    assert room(CPU) == 2e9
    at = Pairs(folder, "train", 32, device=meta).kept
    assert at is not None and at.device == meta and at.shape == (2, 5, 3, 32, 32)
    rooms = {meta: size - 1, CPU: size}
    monkeypatch.setattr("lessonpipe.data.pairs.room", rooms.get)
    at = Pairs(folder, "train", 32, device=meta).kept
    assert at is not None and at.device == CPU


@pytest.mark.parametrize("augment", [Augment(light=0.2), LESSON], ids=["flip", "lesson"])
def test_what_is_done_on_a_batch_is_done_on_the_workers_device(
    folder: Path, augment: Augment
) -> None:
    """The device `meta` has no pixels: to bring one back is an error."""
    batches = epoch(folder, augment, device="meta")
    valid = PairData(folder, augment, 42, worker("meta")).valid_batches(PHASE)
    for x, y in [*batches, *((x, y) for x, y, _ in valid)]:
        assert x.device.type == y.device.type == "meta"
        assert x.dtype == torch.float32
