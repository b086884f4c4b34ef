"""A model is a folder: `model.safetensors`, and `model.json` that says how to build it.

Nothing else is needed to use it, and nothing in it is code.
"""

from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from lessonpipe import __version__
from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.nets import Critic, Generator

M = TypeVar("M", bound=nn.Module)
KINDS = {"generator": Generator, "critic": Critic}


def save_model(folder: Path, net: Generator | Critic, about: dict[str, Any]) -> None:
    """Write a network into `folder`; `about` is what a person wants to know of it."""
    kind = next(name for name, cls in KINDS.items() if isinstance(net, cls))
    write_model(folder, net, kind, net.config, about)


def write_model(
    folder: Path, net: nn.Module, kind: str, build: dict[str, Any], about: dict[str, Any]
) -> None:
    """Write a network of any kind, and what `build` it takes to make one like it."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    atomic_write(folder / "model.safetensors", save(tensors))  # save_file's only its owner can read
    write_json(
        folder / "model.json",
        {"lessonpipe": __version__, "kind": kind, "build": build, "about": about},
    )


def read_model_json(folder: Path) -> dict[str, Any]:
    """The JSON of a model folder.

    Raises `MissingError` for a folder without one, `UserError` for a damaged one.
    """
    path = Path(folder) / "model.json"
    if not path.is_file():
        raise MissingError(f"{folder} is not a model folder (it has no model.json)", folder)
    try:
        about = read_json(path)
        return {"kind": about["kind"], "build": dict(about["build"]), **about}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from error


def load_generator(folder: Path) -> Generator:
    """Build the generator of a model folder and fill in its weights."""
    net = _load(Path(folder), "generator")
    assert isinstance(net, Generator)
    return net


def load_critic(folder: Path) -> Critic:
    """Build the critic of a model folder and fill in its weights."""
    net = _load(Path(folder), "critic")
    assert isinstance(net, Critic)
    return net


def _load(folder: Path, kind: str) -> nn.Module:
    about = read_model_json(folder)
    if about["kind"] != kind:
        raise UserError(f"{folder} holds a {about['kind']}, but a {kind} is needed here")
    try:
        with torch.random.fork_rng(devices=[]):
            net = KINDS[kind](pretrained=False, **about["build"])
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{folder} was made by lessonpipe {about.get('lessonpipe')}, and this is "
            f"{__version__}, which cannot build it: {error}"
        ) from error
    return load_weights(folder, net)


def load_weights(folder: Path, net: M) -> M:
    """Give a network the weights of a model folder, to be used."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise MissingError(f"{weights} is not there; the model folder is incomplete", folder)
    try:
        net.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{weights} is damaged or of another network: {error}") from error
    return net.eval()
