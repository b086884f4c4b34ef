"""Restoring in tiles: as the whole, in the memory there is."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lessonpipe.errors import UserError
from lessonpipe.inference import memory
from lessonpipe.inference.pixels import Pixels
from lessonpipe.inference.restorer import Restorer
from lessonpipe.inference.tiles import Tiling, restore_tiled
from lessonpipe.nets.io import save_model
from tests.conftest import make_picture
from tests.small import generator


@pytest.fixture(scope="module")
def restorer(model: Path) -> Restorer:
    return Restorer(model, precision="fp32")


def neighbourhood_mean(tile: np.ndarray) -> np.ndarray:
    """A stand-in for a network that sees 40 pixels far: sums of shifted pictures, mirrored ends."""
    padded = np.pad(tile.astype(np.float64), ((40, 40), (40, 40), (0, 0)), mode="reflect")
    shifts = [(0, 0), (0, 80), (80, 0), (80, 80), (40, 40)]
    height, width = tile.shape[:2]
    parts = [padded[y : y + height, x : x + width] for y, x in shifts]
    return np.asarray(np.mean(parts, axis=0) / 255, np.float32)


@pytest.mark.parametrize("size", [(700, 900), (256, 1000), (1000, 256), (417, 289), (100, 90)])
@pytest.mark.parametrize("side", [224, 320, 512])
def test_tiles_are_the_whole_where_the_network_sees_no_farther_than_the_margin(
    size: tuple[int, int], side: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    bands = list(
        restore_tiled(*size, lambda window: neighbourhood_mean(picture[window]), Tiling(side))
    )
    assert np.allclose(np.concatenate(bands), neighbourhood_mean(picture), atol=1e-6)


@pytest.mark.parametrize("length", [1, 100, 224, 225, 257, 1000, 4097])
def test_tiles_begin_on_the_grid_and_reach_the_end(length: int) -> None:
    tiling = Tiling(224)
    spans = tiling.spans(length)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % tiling.grid == 0 for start, _ in spans)
    overlap = 2 * tiling.margin + tiling.blend
    assert all(end - start >= overlap for (_, end), (start, _) in pairwise(spans))


@pytest.fixture(scope="module")
def inpainter(tmp_path_factory: pytest.TempPathFactory) -> Restorer:
    """A restorer that masks much of a picture, in patches, and fills them in."""
    net = generator(output="inpaint")
    torch.nn.init.normal_(net.unet.output[0].weight[-1], std=3.0)
    folder = tmp_path_factory.mktemp("model") / "inpaint"
    save_model(folder, net, {})
    return Restorer(folder, precision="fp32")


@pytest.mark.parametrize("name", ["restorer", "inpainter"])
def test_a_real_network_in_tiles_differs_by_one_level_at_most(
    name: str, request: pytest.FixtureRequest
) -> None:
    restorer = request.getfixturevalue(name)
    pixels = Pixels(np.asarray(make_picture(700, 500)))
    whole = restorer.restore_pixels(pixels).color
    side = restorer._tile_side
    try:
        restorer._tile_side = lambda height, width: 256  # type: ignore[method-assign]
        tiled = restorer.restore_pixels(pixels).color
    finally:
        restorer._tile_side = side  # type: ignore[method-assign]
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_tiles_shrink_with_the_memory(model: Path) -> None:
    sides = [
        Restorer(model, memory=memory.resident_memory() + (mb << 20))._tile_side(6000, 6000)
        for mb in (1, 500, 1500)  # the result takes 103 of them
    ]
    assert sides == sorted(set(sides)) and sides[0] < 400
    shared = Restorer(model, memory=memory.resident_memory() + (2000 << 20))
    alone = shared._tile_side(6000, 6000)
    shared.jobs = 4
    assert shared._tile_side(6000, 6000) < alone * 0.6


@pytest.mark.slow
def test_a_large_picture_takes_the_memory_it_is_given_by_the_systems_count(
    model: Path, tmp_path: Path
) -> None:
    make_picture(600, 400).resize((6000, 4000)).save(tmp_path / "a.jpg", quality=90)
    words = [sys.executable, "-m", "lessonpipe.app.cli", "restore", str(tmp_path / "a.jpg")]
    words += ["-o", str(tmp_path / "b.jpg"), "--model", str(model), "--memory", "1200MB", "--quiet"]
    # by a process of its own: in ru_maxrss counts, too, what a child had before its exec
    count = "import os, subprocess, sys; child = subprocess.Popen(sys.argv[1:])\n"
    count += (
        "_, status, usage = os.wait4(child.pid, 0); print(usage.ru_maxrss); sys.exit(status != 0)"
    )
    done = subprocess.run([sys.executable, "-c", count, *words], stdout=subprocess.PIPE, check=True)
    with Image.open(tmp_path / "b.jpg") as restored:
        assert restored.size == (6000, 4000)
    assert int(done.stdout) * 1024 < 1200 * 2**20


def test_out_of_memory_is_met_with_smaller_tiles_and_then_a_sentence(model: Path) -> None:
    restorer = Restorer(model, precision="fp32")
    seen: list[int] = []
    run, most = restorer.run, 400

    def limited(x: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        seen.append(max(x.shape[-2:]))
        if seen[-1] > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return run(x, exact=exact)

    restorer.run = limited  # type: ignore[method-assign]
    pixels = Pixels(np.asarray(make_picture(600, 500)))
    assert restorer.bytes_per_pixel > 0
    restored = restorer.restore_pixels(pixels).color
    assert max(seen) > 600 and seen[-1] <= 400
    assert np.abs(restored.astype(int) - Restorer(model, precision="fp32")(pixels.color)).max() <= 1
    most = 10
    with pytest.raises(UserError, match="do not fit in the memory of cpu, not even in tiles"):
        restorer.restore_pixels(pixels)


def test_other_errors_of_a_network_are_not_taken_for_a_want_of_memory(model: Path) -> None:
    restorer = Restorer(model)

    def wrong(x: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    restorer.run = wrong  # type: ignore[method-assign]
    restorer._bytes_per_pixel = 1.0
    with pytest.raises(RuntimeError, match="shapes"):
        restorer(make_picture(20, 20))


def test_strength_zero_is_the_enlarged_original_and_one_half_lies_between(model: Path) -> None:
    picture = make_picture(60, 40)
    enlarged = picture.resize((120, 80), 3)
    none, half, full = (
        np.asarray(Restorer(model, strength=s, precision="fp32")(picture, scale=2)).astype(int)
        for s in (0, 0.5, 1)
    )
    assert np.array_equal(none, enlarged)
    assert np.abs(half - (none + full) / 2).max() <= 1 and np.abs(full - none).max() > 4


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_another_strength_is_refused(strength: float, model: Path) -> None:
    with pytest.raises(UserError, match="strength"):
        Restorer(model, strength=strength)


def test_a_network_with_attention_says_that_its_tiles_are_not_exact(tmp_path: Path) -> None:
    save_model(tmp_path / "m", generator(attention=True), {})
    assert not Restorer(tmp_path / "m").exact_tiles


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 << 30), ("1.5 G", 3 << 29), ("800 MiB", 800 << 20), ("9", 9)]
)
def test_sizes_of_memory_are_read(text: str, size: int) -> None:
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 eggs", "-1GB", "0"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="2GB"):
        memory.parse_size(text)


def test_the_limit_of_a_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here/below"
    folder.mkdir(parents=True)
    for where, most in ((folder, "max"), (folder.parent, str(3 << 20))):
        (where / "memory.max").write_text(most)
        (where / "memory.current").write_text(str(2 << 20))
        (where / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 19}\n")
    names = ("memory.max", "memory.current", "inactive_file")
    files = [(folder, *names), (folder.parent, *names)]
    monkeypatch.setattr(memory, "_cgroup_files", lambda: files)
    assert memory.free_memory() == (1 << 20) + (1 << 19)
