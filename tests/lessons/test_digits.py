"""Digits: where they come from, the networks, and that they learn."""

import gzip
import hashlib
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from lessonpipe.errors import UserError
from lessonpipe.report.result import Result
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits import data, learn, nets, plots
from lessons.digits.he import BasicBlock
from lessons.digits.runs import Run
from lessons.sweep import Job
from tasks import digits as digits_stage
from tasks import digits_data
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def digits():
    return data.from_package()


def idx_bytes(values):
    head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(head + values.tobytes())


def test_the_package_has_all_seventy_thousand_digits(digits):
    assert digits["train_x"].shape == (60_000, 28, 28) and digits["train_x"].dtype == torch.uint8
    assert digits["valid_x"].shape == (10_000, 28, 28)
    # the mean and deviation that everybody uses for MNIST's training side
    pixels = digits["train_x"].float() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=1e-4)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=1e-4)
    # counts by class as published with the data
    assert torch.bincount(digits["valid_y"]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip


def test_a_pickle_that_would_call_something_is_refused():
    class Evil:
        def __reduce__(self):
            return (eval, ("1/0",))

    with pytest.raises(pickle.UnpicklingError, match="eval is no array"):
        data.Arrays(io.BytesIO(pickle.dumps(Evil()))).load()


@pytest.fixture
def web(serve, monkeypatch):
    """Few digits, and an address that has them in the usual four files."""
    rng = np.random.default_rng(0)
    arrays = {
        "train_x": rng.integers(0, 256, (9, 28, 28), dtype=np.uint8),
        "train_y": rng.integers(0, 10, 9, dtype=np.uint8),
        "valid_x": rng.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "valid_y": rng.integers(0, 10, 4, dtype=np.uint8),
    }
    names = [name for name, _ in data.MNIST.resources]
    bodies = {n: idx_bytes(values) for n, values in zip(names, arrays.values(), strict=True)}
    address = serve(body=bodies).url.rpartition("/")[0]
    monkeypatch.setenv("LESSONPIPE_MNIST_URL", f"{address}/")
    return arrays, bodies


def test_the_stage_downloads_the_digits_of_a_mirror(web, tmp_path, monkeypatch):
    arrays, bodies = web
    digests = [(name, hashlib.md5(body).hexdigest()) for name, body in bodies.items()]
    monkeypatch.setattr(data.MNIST, "resources", digests)
    monkeypatch.chdir(tmp_path)
    digits_data.run(digits_data.Params(source="web"))
    found = data.load(Path("data/digits"))
    assert {part: values.tolist() for part, values in found.items()} == {
        part: values.tolist() for part, values in arrays.items()
    }


def test_files_of_a_mirror_that_are_not_mnists_are_refused_in_a_sentence(web, tmp_path, door):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"digits_data": {"source": "web"}}))
    done = door("tasks", "digits_data")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "digits_data: MNIST cannot be downloaded (Error downloading train-images"
    )
    assert "http://127.0.0.1:" in last and "corrupted" in last and "source: package" in last
    assert not (tmp_path / "data/digits").exists()


def test_a_broken_file_in_the_cache_is_refused_in_a_sentence(web, tmp_path):
    folder = tmp_path / "MNIST/raw"
    folder.mkdir(parents=True)
    for name, _ in data.MNIST.resources:
        (folder / name.removesuffix(".gz")).write_bytes(b"\0\0\x08\x03 cut off")
    with pytest.raises(UserError, match="MNIST cannot be downloaded"):
        data.from_web(tmp_path)


def net_of(kind, **options):
    return nets.DigitNet(nets.DigitNetConfig(kind=kind, **options))


def test_the_plain_network_has_the_lessons_parameters_and_grids():
    net = net_of("plain")
    assert sum(p.numel() for p in net.parameters()) == 12_126
    grids = []
    for layer in net.layers:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda *args: grids.append(args[2].shape[-1]))
    assert net(torch.zeros(2, 28, 28, dtype=torch.uint8)).shape == (2, 10)
    assert grids == [14, 7, 4, 2, 1]


def test_a_dense_block_hands_on_both_what_came_and_what_it_made():
    x = torch.zeros(2, 28, 28, dtype=torch.uint8)
    widths = {}
    for kind in ("residual", "dense", "no shortcut"):
        net = net_of(kind).eval()
        widths[kind] = _goes_in(net)
        assert net(x).shape == (2, 10)
    assert widths["residual"] == widths["no shortcut"] == [1, 8, 16, 32, 16]
    assert widths["dense"] == [1, 16, 32, 64, 32]
    assert _goes_in(net_of("residual", width=2)) == [1, 16, 32, 64, 32]


def _goes_in(net):
    """The channels that each convolution of stride 2 gets."""
    convs = (m for m in net.layers.modules() if isinstance(m, nn.Conv2d))
    return [m.in_channels for m in convs if m.stride == (2, 2)]


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_network_of_20_layers_has_19_convolutions_and_its_shortcuts_no_parameters(kind):
    net = net_of(kind, layers=20, width=2).eval()
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 19 and [m.out_channels for m in convs[::6]] == [16, 16, 32, 64]
    # He et al.'s 0.27 million for CIFAR-10, whose pictures have three channels
    assert sum(p.numel() for p in net.parameters()) + 2 * 9 * 16 == pytest.approx(0.27e6, rel=0.01)
    pixels = torch.rand(2, 28, 28).mul(255).byte()
    net(pixels).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    with pytest.raises(ValueError, match="6n\\+2 layers"):
        net_of(kind, layers=21)
    with pytest.raises(ValueError, match="plain or residual"):
        net_of("dense", layers=20)


def test_only_with_shortcuts_does_a_block_whose_convolutions_answer_nothing_hand_on_its_input():
    x = torch.rand(1, 4, 8, 8)
    for shortcut in (True, False):
        block = BasicBlock(4, 8, 2, shortcut)
        nn.init.zeros_(block.body[-1].weight)
        y = block(x)
        assert torch.equal(y[:, :4], x[..., ::2, ::2] * shortcut) and not y[:, 4:].any()


def test_a_training_on_some_digits_tells_its_error_on_those(digits):
    some = learn.some_of(digits, 60, seed=1)
    assert len(some["train_y"]) == len(some["train_x"].flatten(1).unique(dim=0)) == 60
    assert not torch.equal(some["train_y"], learn.some_of(digits, 60, seed=2)["train_y"])
    some |= {"valid_x": digits["valid_x"][:20], "valid_y": digits["valid_y"][:20]}
    run = Run(net="dense", samples=50, batch=25, epochs=1, max_lr=0.01)
    result = digits_stage.train_one(Job(run, 1), some, AdamWConfig())
    assert run.system == "dense network, 50 digits, 1 epochs"
    assert 0 <= result["error"] <= 1 and len(result["history"]) == 1
    assert "error" not in digits_stage.train_one(
        Job(run.model_copy(update={"samples": None}), 1), some, AdamWConfig()
    )


def test_what_is_shown_and_tried_before_training_is_the_network_and_the_digits_of_the_run(
    digits, tmp_path
):
    data.save({name: part[:200] for name, part in digits.items()}, tmp_path)
    run = {"net": "residual", "layers": 20, "samples": 50, "batch": 25, "epochs": 1, "max_lr": 0.01}
    params = yaml.safe_load((ROOT / "params.yaml").read_text())["digits"] | {"runs": [run]}
    p = digits_stage.Params(**params)
    learner, batches, _ = digits_stage.build(p, p.runs[0], tmp_path)
    assert learner.net.config.layers == 20
    assert torch.equal(batches.train[1], learn.some_of(data.load(tmp_path), 50, p.seed)["train_y"])


def test_a_view_is_the_digit_moved_by_at_most_three_pixels_one_draw_a_picture():
    x = torch.zeros(64, 28, 28, dtype=torch.uint8)
    x[:, 14, 14] = 255
    seen, _ = nets.padded_crops(x, torch.zeros(64), torch.Generator().manual_seed(0))
    places = seen.flatten(1).float().argmax(1)
    down, right = places // 28 - 14, places % 28 - 14
    assert int(down.abs().max()) == int(right.abs().max()) == 3
    assert len({(int(d), int(r)) for d, r in zip(down, right, strict=True)}) > 20
    assert (seen.flatten(1).sum(1) == 255).all()


def test_the_middle_of_a_surface_is_the_trained_networks_own_loss(digits):
    torch.manual_seed(0)
    net = net_of("residual").eval()
    x, y = digits["train_x"][:50], digits["train_y"][:50]
    own = float(torch.nn.functional.cross_entropy(net(x), y).detach())
    before = [p.clone() for p in net.parameters()]
    losses = learn.surface(net, x, y, points=5, extent=1.0, seed=1)
    assert float(losses[2, 2]) == pytest.approx(own, rel=1e-5)
    assert losses.std() > 0
    assert all(p.equal(b) for p, b in zip(net.parameters(), before, strict=True))


def test_a_direction_has_each_filter_as_long_as_the_networks():
    weight = torch.randn(6, 3, 3, 3) * torch.arange(1, 7).view(-1, 1, 1, 1)
    way = learn._direction(weight, torch.Generator().manual_seed(0))
    torch.testing.assert_close(way.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))


def test_the_confusion_matrix_counts_what_was_taken_for_what():
    told, meant = torch.tensor([1, 1, 7, 3]), torch.tensor([1, 7, 7, 5])
    counts = plots.confusion(told, meant)
    assert counts.sum() == 4
    assert counts[1, 1] == counts[7, 1] == counts[7, 7] == counts[5, 3] == 1


@pytest.mark.slow
def test_the_stage_cut_short_learns_and_leaves_a_model_that_reads_digits(digits, tmp_path, door):
    data_folder = tmp_path / "data/digits"
    data_folder.mkdir(parents=True)
    data.save(digits, data_folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    short = {"batch": 128, "epochs": 1, "samples_per_epoch": 20_000}
    params["digits"] |= {
        "seeds": [1, 2],
        "runs": [{"net": "plain", "max_lr": 0.1, **short}],
        "surface": {
            "nets": ["residual"],
            "blocks": 1,
            "phase": {"max_lr": 0.02, **short, "samples_per_epoch": 1280},
            "points": 3,
            "extent": 1.0,
            "samples": 100,
        },
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    done = door("tasks", "digits")
    assert done.returncode == 0, done.stderr
    out = Path(tmp_path, "models/digits")
    (figure,) = Result.read(out).scores
    assert len(figure.values) == 2 and min(figure.values) > 0.95
    net = net_of("plain", **_statistics(out))
    net.load_state_dict(load_file(out / "model.safetensors"))
    told = learn.predict_probabilities(net, digits["valid_x"]).argmax(1)
    right = float((told == digits["valid_y"]).float().mean())
    assert right == pytest.approx(figure.values[0], abs=1e-6)
    assert not (tmp_path / ".lessonpipe/checkpoints").exists() or not list(
        (tmp_path / ".lessonpipe/checkpoints").iterdir()
    )


def _statistics(out):
    about = yaml.safe_load((out / "model.json").read_text())
    return {name: about["build"][name] for name in ("mean", "std")}
