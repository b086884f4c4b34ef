"""Pretrained weights from a local server that behaves and misbehaves like the hub."""

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
from lessonpipe.losses import FeatureLoss, FeatureLossConfig, PixelLoss
from lessonpipe.nets import Encoder, pretrained
from lessonpipe.nets.pretrained import HUB, HUB_URL
from tests.server import Serve


class Hub:
    """The bytes of random weights in torchvision's old form, and their state."""

    def __init__(self, name: str, state: dict[str, torch.Tensor]) -> None:
        self.state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
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
    """Where torch caches downloads; the table names the hub's file."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(pretrained.HUB, "resnet18", hub.file)
    monkeypatch.delenv("LESSONPIPE_WEIGHTS", raising=False)
    return tmp_path / "checkpoints"


def from_server(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("LESSONPIPE_HUB", f"http://127.0.0.1:{port}/models/")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def has_weights(encoder: Encoder, state: dict[str, torch.Tensor], count: int = 100) -> bool:
    found = encoder.net.state_dict()
    layers = [k for k in state if not k.startswith("fc.")]
    return len(layers) == count and all(torch.equal(found[k], state[k]) for k in layers)


def test_weights_are_fetched_once_and_checked(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(body=hub.body)
    from_server(monkeypatch, server.server_port)
    for _ in range(2):
        assert has_weights(Encoder("resnet18", pretrained=True), hub.state)
    assert server.seen == [None] and files(cache) == {hub.file}


def test_wrong_bytes_are_refused_and_removed(
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
    assert has_weights(Encoder("resnet18", pretrained=True), hub.state)


def test_an_interrupted_download_resumes(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("breaks", hub.body)
    from_server(monkeypatch, server.server_port)
    assert has_weights(Encoder("resnet18", pretrained=True), hub.state)
    assert server.seen == [None, f"bytes={(len(hub.body) + 1) // 2}-"]
    assert files(cache) == {hub.file}


def test_without_a_network_the_error_says_the_cure(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_server(monkeypatch, 9)
    with pytest.raises(UserError, match=r"cannot fetch .*resnet18.*LESSONPIPE_WEIGHTS") as error:
        Encoder("resnet18", pretrained=True)
    assert "resnet18.safetensors" in str(error.value) and "source:" not in str(error.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_folder_of_weights_comes_first_and_nothing_is_fetched(
    suffix: str, hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(body=b"")
    from_server(monkeypatch, server.server_port)
    others = {k: v + 1 for k, v in hub.state.items()}
    folder = cache.parent / "weights"
    folder.mkdir()
    if suffix == ".pth":
        torch.save(others, folder / "resnet18.pth")
    else:
        save_file(others, folder / "resnet18.safetensors")
    monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(folder))
    assert has_weights(Encoder("resnet18", pretrained=True), others)
    assert server.seen == [] and not cache.exists()


def test_weights_saved_from_a_feature_network_are_loaded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = timm.create_model("vgg16_bn", features_only=True, out_indices=(0, 1)).state_dict()
    assert any(key.startswith("features_0") for key in saved)  # where the whole one has a dot
    save_file(saved, tmp_path / "vgg16_bn.safetensors")
    monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(tmp_path))
    net = pretrained.create_features("vgg16_bn", pretrained=True, out_indices=(0, 1))
    assert all(torch.equal(tensor, saved[key]) for key, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("name", "problem"),
    [("resnet34", r"\d+ layers are missing, such as layer1"), ("resnet50", "size mismatch")],
)
def test_weights_of_another_network_are_refused(
    name: str, problem: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(hub.state, tmp_path / f"{name}.pth")
    monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(tmp_path))
    with pytest.raises(
        UserError, match=rf"found for {name} are not of that network: (.|\n)*{problem}"
    ):
        Encoder(name, pretrained=True)


def test_random_numbers_are_the_same_after_loading_from_any_source(
    hub: Hub, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_server(monkeypatch, serve(body=hub.body).server_port)
    numbers = []
    for _ in ("fetched", "from the folder"):
        torch.manual_seed(5)
        Encoder("resnet18", pretrained=True)
        numbers.append(torch.rand(3))
        monkeypatch.setenv("LESSONPIPE_WEIGHTS", str(cache.parent))
        torch.save(hub.state, cache.parent / "resnet18.pth")
    assert torch.equal(*numbers)


def test_the_table_names_the_files_that_torchvision_names() -> None:
    for name, file in HUB.items():
        first = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert first.url == f"{HUB_URL}/{file}"
        config = timm.get_pretrained_cfg(name)
        transform = first.transforms()
        assert list(config.mean) == transform.mean and list(config.std) == transform.std


@pytest.fixture
def no_init(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks start as their memory is: drawing VGG's 138 million weights takes seconds."""
    for name in ("normal_", "kaiming_normal_", "kaiming_uniform_", "uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **options: tensor)


@pytest.mark.slow
@pytest.mark.usefixtures("no_init")
def test_the_lessons_two_pretrained_networks_are_fetched_checked_and_loaded(
    cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    cfg = torchvision.models.vgg.cfgs["D"]
    layers = torchvision.models.vgg.make_layers(cfg, batch_norm=True).eval()
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.normal_(0, (2 / layer.weight[0].numel()) ** 0.5)
            layer.bias.data.zero_()
    vgg = {f"features.{k}": v for k, v in layers.state_dict().items()}
    vgg["classifier.6.bias"] = torch.zeros(1000)
    resnet = torchvision.models.resnet34().state_dict()
    for value in resnet.values():
        value.copy_(torch.rand(value.shape))
    hubs = {"resnet34": Hub("resnet34", resnet), "vgg16_bn": Hub("vgg16_bn", vgg)}
    for name, hub in hubs.items():
        monkeypatch.setitem(pretrained.HUB, name, hub.file)
        from_server(monkeypatch, serve("wrong", hub.body).server_port)
        with pytest.raises(UserError, match=f"{hub.file} gave bytes with sha256"):
            Encoder(name, pretrained=True)
    from_server(monkeypatch, serve(body=hubs["resnet34"].body).server_port)
    assert has_weights(Encoder("resnet34", pretrained=True), hubs["resnet34"].state, 180)
    from_server(monkeypatch, serve(body=hubs["vgg16_bn"].body).server_port)

    # torchvision's layers 22, 32 and 42, the lesson's, are timm's 2, 3 and 4
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    config = FeatureLossConfig(encoder="vgg16_bn", layers=[0, 1, 2, 3, 4], weights=[1] * 5)
    loss = FeatureLoss(config, PixelLoss("l1", std))
    image = torch.rand(1, 3, 64, 64)
    x = (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = [x := layer(x) for layer in layers]
    for found, index in zip(loss.features(image), (5, 12, 22, 32, 42), strict=True):
        assert found.std() > 0.1
        torch.testing.assert_close(found, expected[index])
    assert files(cache) == {hub.file for hub in hubs.values()}
