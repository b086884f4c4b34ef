"""Pretrained weights from a hub on this machine that behaves and misbehaves like a real one."""

import hashlib
import io
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lessonpipe.errors import UserError
from lessonpipe.losses.feature import FeatureLoss
from lessonpipe.losses.pixel import PixelLoss
from lessonpipe.nets import Encoder, pretrained
from lessonpipe.nets.pretrained import HUB, HUB_URL, fill, load_pretrained
from tests.server import Serve


class Hub:
    """The bytes of random weights in torchvision's old form, and their state."""

    def __init__(self, name: str, whole: dict[str, torch.Tensor]) -> None:
        self.state = {k: v for k, v in whole.items() if not k.endswith("num_batches_tracked")}
        buffer = io.BytesIO()
        torch.save(self.state, buffer, _use_new_zipfile_serialization=False)
        self.body = buffer.getvalue()
        self.file = f"{name}-{hashlib.sha256(self.body).hexdigest()[:8]}.pth"


@pytest.fixture(scope="module")
def hub() -> Hub:
    torch.manual_seed(1)
    return Hub("resnet18", torchvision.models.resnet18().state_dict())


@pytest.fixture
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps what it fetched; the table asks for the hub's file."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(pretrained.HUB, "resnet18", hub.file)
    monkeypatch.delenv("LESSONPIPE_WEIGHTS", raising=False)
    return tmp_path / "checkpoints"


def from_server(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("LESSONPIPE_HUB", f"http://127.0.0.1:{port}/models/")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def holds(encoder: Encoder, state: dict[str, torch.Tensor], count: int = 100) -> bool:
    own = encoder.net.state_dict()
    layers = [k for k in state if not k.startswith("fc.")]
    return len(layers) == count and all(torch.equal(own[k], state[k]) for k in layers)


def test_weights_are_fetched_once_and_checked(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(body=hub.body)
    from_server(monkeypatch, server.server_port)
    for _ in range(2):
        assert holds(Encoder("resnet18", pretrained=True), hub.state)
    assert server.seen == [None] and files(cache) == {hub.file}


def test_wrong_bytes_are_refused_and_none_are_left(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_server(monkeypatch, serve("wrong", hub.body).server_port)
    with pytest.raises(UserError, match=rf"{hub.file} gave bytes with sha256 .* twice"):
        Encoder("resnet18", pretrained=True)
    assert files(cache) == set()


def test_a_damaged_file_in_the_cache_is_fetched_again(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    (cache / hub.file).write_bytes(hub.body[:1000])
    from_server(monkeypatch, serve(body=hub.body).server_port)
    assert holds(Encoder("resnet18", pretrained=True), hub.state)


def test_a_fetch_that_broke_off_half_way_is_gone_on_with(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("breaks", hub.body)
    from_server(monkeypatch, server.server_port)
    assert holds(Encoder("resnet18", pretrained=True), hub.state)
    assert server.seen == [None, f"bytes={(len(hub.body) + 1) // 2}-"]
    assert files(cache) == {hub.file}


def test_without_a_network_the_cure_is_told(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_server(monkeypatch, 9)
    with pytest.raises(UserError, match=r"cannot fetch .*resnet18.*LESSONPIPE_WEIGHTS") as told:
        Encoder("resnet18", pretrained=True)
    assert "resnet18.safetensors" in str(told.value) and "source:" not in str(told.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_folder_of_weights_wins_and_nothing_is_fetched(
    suffix: str, hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(body=b"")
    from_server(monkeypatch, server.server_port)
    mine = {k: v + 1 for k, v in hub.state.items()}
    folder = cache.parent / "mine"
    folder.mkdir()
    if suffix == ".pth":
        torch.save(mine, folder / "resnet18.pth")
    else:
        save_file(mine, folder / "resnet18.safetensors")
    monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(folder))
    assert holds(Encoder("resnet18", pretrained=True), mine)
    assert server.seen == [] and not cache.exists()


def test_weights_of_another_network_are_refused(hub: Hub) -> None:
    with pytest.raises(UserError, match=r"found for resnet34 are not of that network: \d+ layers"):
        fill(Encoder("resnet34", pretrained=False).net, hub.state, "resnet34")


def test_the_dice_roll_the_same_from_every_source(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_server(monkeypatch, serve(body=hub.body).server_port)
    rolls = []
    for _ in ("fetched", "from the folder"):
        torch.manual_seed(5)
        load_pretrained(timm.create_model("resnet18", features_only=True), "resnet18")
        rolls.append(torch.rand(3))
        monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(cache.parent))
        torch.save(hub.state, cache.parent / "resnet18.pth")
    assert torch.equal(*rolls)


def test_the_table_names_the_files_that_torchvision_names() -> None:
    for name, file in HUB.items():
        first = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert first.url == f"{HUB_URL}/{file}"
        config = timm.get_pretrained_cfg(name)
        transform = first.transforms()
        assert list(config.mean) == transform.mean and list(config.std) == transform.std


def vgg_layers() -> tuple[nn.Sequential, dict[str, torch.Tensor]]:
    """torchvision's VGG-16 up to its classifier, and a file's state, whose classifier is short."""
    torch.manual_seed(0)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"], batch_norm=True)
    state = {f"features.{k}": v for k, v in layers.state_dict().items()}
    return layers.eval(), state | {"classifier.6.bias": torch.zeros(1000)}


@pytest.mark.slow
def test_the_lessons_encoder_and_eyes_are_fetched_checked_and_filled(
    cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, vgg = vgg_layers()
    hubs = {
        "resnet34": Hub("resnet34", torchvision.models.resnet34().state_dict()),
        "vgg16_bn": Hub("vgg16_bn", vgg),
    }
    for name, hub in hubs.items():
        monkeypatch.setitem(pretrained.HUB, name, hub.file)
        from_server(monkeypatch, serve("wrong", hub.body).server_port)
        with pytest.raises(UserError, match=f"{hub.file} gave bytes with sha256"):
            Encoder(name, pretrained=True)
    from_server(monkeypatch, serve(body=hubs["resnet34"].body).server_port)
    assert holds(Encoder("resnet34", pretrained=True), hubs["resnet34"].state, 180)
    from_server(monkeypatch, serve(body=hubs["vgg16_bn"].body).server_port)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    loss = FeatureLoss("vgg16_bn", pixel=PixelLoss("l1", std), taps=[2, 3, 4], weights=[5, 15, 2])
    good = torch.rand(1, 3, 64, 64)
    x = (good - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    theirs = [x := layer(x) for layer in layers]
    for ours, index in zip(loss.features(good), (22, 32, 42), strict=True):
        torch.testing.assert_close(ours, theirs[index])
    assert files(cache) == {hub.file for hub in hubs.values()}


def test_torchvisions_vgg_gives_the_lessons_taps_under_timms_names() -> None:
    layers, state = vgg_layers()
    eyes = Encoder("vgg16_bn", pretrained=False, depth=5)
    fill(eyes.net, state, "vgg16_bn")
    x = torch.rand(1, 3, 64, 64)
    seen, expected = eyes.eval()(x), []
    for index, layer in enumerate(layers):
        x = layer(x)
        if index in (5, 12, 22, 32, 42):
            expected.append(x)
    for ours, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
