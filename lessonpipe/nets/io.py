"""A model is a folder: `model.safetensors`, and `model.json` that says how to build it.

Nothing else is needed to use it, and nothing in it is code. Folders that earlier versions wrote,
with other names of options and layers, load as they are.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from lessonpipe import __version__
from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import atomic_write, write_json
from lessonpipe.nets import Critic, CriticConfig, Generator, UnetConfig
from lessonpipe.nets.checks import check_fit, read_checked_json, read_shapes, reasons

M = TypeVar("M", bound=nn.Module)
V = TypeVar("V")
WEIGHTS = "model.safetensors"
ENCODER_BLOCK = re.compile(r".*?\bencoder\.net\.blocks\.\d+\.")
RENAMED_OPTIONS = {"join": "concat", "extra": "extra_layers"}  # of `build`, before 0.2
RENAMED_LAYERS = [  # of U-Nets and language models, before 0.2
    (re.compile(r"\bunet\.blocks\.(\d+)\.up\."), r"unet.blocks.\1.upsample."),
    (re.compile(r"\bunet\.blocks\.(\d+)\.tap_norm\."), r"unet.blocks.\1.skip_norm."),
    (re.compile(r"\bunet\.blocks\.(\d+)\.first\."), r"unet.blocks.\1.conv1."),
    (re.compile(r"\bunet\.blocks\.(\d+)\.second\."), r"unet.blocks.\1.conv2."),
    (re.compile(r"\bunet\.up\."), "unet.upsample."),
    (re.compile(r"\bunet\.answer\."), "unet.output."),
    (re.compile(r"^answer\."), "output."),
    (re.compile(r"^nearness$"), "relative_bias"),
    (re.compile(r"^copies\."), "copy_gate."),
]


def save_model(folder: Path, net: Generator | Critic, about: dict[str, Any]) -> None:
    """Write a network into `folder`; `about` is what a person wants to know of it."""
    kind = "generator" if isinstance(net, Generator) else "critic"
    write_model(folder, net, kind, net.config, about)


def write_model(
    folder: Path,
    net: nn.Module,
    kind: str,
    build: BaseModel | dict[str, Any],
    about: dict[str, Any],
) -> None:
    """Write a network of any kind, and the config (`build`) that it takes to build one like it."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    # not safetensors' save_file, which makes files that only their owner can read
    atomic_write(folder / WEIGHTS, save(tensors), fsync=True)
    config = build.model_dump(mode="json") if isinstance(build, BaseModel) else build
    write_json(
        folder / "model.json",
        {"lessonpipe": __version__, "kind": kind, "build": config, "about": about},
        fsync=True,
    )


def read_model_json(folder: Path) -> dict[str, Any]:
    """The JSON of a model folder, its options by their present names.

    Nothing is built of it yet. Raises `MissingError` for a folder without one, `UserError` for one
    that is damaged, or has weights that are.
    """
    path = Path(folder) / "model.json"
    if not path.is_file():
        raise MissingError(f"{folder} is not a model folder (it has no model.json)", folder)
    about = read_checked_json(path)
    if (path.with_name(WEIGHTS)).is_file():
        read_shapes(path.with_name(WEIGHTS))
    build = {RENAMED_OPTIONS.get(k, k): v for k, v in about["build"].items()}
    return {"about": {}, **about, "build": build}


def load_generator(folder: Path) -> Generator:
    """Build the generator of a model folder and load its weights, in evaluation mode."""
    build = _build(Path(folder), "generator")
    return load_weights(folder, _untrained(Generator, folder, UnetConfig, build))


def load_critic(folder: Path) -> Critic:
    """Build the critic of a model folder and load its weights, in evaluation mode."""
    build = _build(Path(folder), "critic")
    return load_weights(folder, _untrained(Critic, folder, CriticConfig, build))


def _build(folder: Path, kind: str) -> dict[str, Any]:
    about = read_model_json(folder)
    if about["kind"] != kind:
        raise UserError(f"{folder} holds a {about['kind']}, but a {kind} is needed here")
    return about["build"]


def _untrained(net: Any, folder: Path, config: Any, build: dict[str, Any]) -> Any:
    """A network of a folder's config, without weights, once they are known to fit.

    A first one, without memory for its tensors, has to have the shapes that the weights file has:
    so the file's size bounds the network. No random number of the run is drawn.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            checked = config(**build)
            with torch.device("meta"):
                shapes_only = net(checked, pretrained=False)
            _check_fit(Path(folder), shapes_only)
            return net(checked, pretrained=False)
    except UserError:
        raise
    except Exception as error:  # of timm's networks each has its own for options that it cannot
        why = _why(error)
        version = read_model_json(folder).get("lessonpipe")
        raise UserError(
            f"{folder} was made by lessonpipe {version}, and this is {__version__}, "
            f"which cannot build it: {why:.500}"
        ) from error


def _why(error: Exception) -> str:
    return reasons(error) if isinstance(error, ValidationError) else " ".join(f"{error}".split())


def load_weights(folder: Path, net: M) -> M:
    """Load the weights of a model folder into a network, and set it to evaluation mode.

    Raises `MissingError` without weights, `UserError` for another network's.
    """
    _check_fit(Path(folder), net)
    net.load_state_dict(_without_unused_blocks(_read_weights(Path(folder)), net))
    return net.eval()


def _check_fit(folder: Path, net: nn.Module) -> None:
    shapes = {_renamed(k): v for k, v in read_shapes(folder / WEIGHTS).items()}
    check_fit(folder / WEIGHTS, _without_unused_blocks(shapes, net), net)


def _read_weights(folder: Path) -> dict[str, Tensor]:
    read_shapes(folder / WEIGHTS)
    try:
        return {_renamed(k): v for k, v in load_file(folder / WEIGHTS).items()}
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is damaged: {error}") from error


def load_matching_weights(folder: Path, net: Generator) -> list[str]:
    """Load those weights of a model folder that `net` has, too, by name and shape.

    Returns the names of the tensors of `net` that stay as they were. Raises `MissingError` without
    a model, `UserError` for a damaged one or one that is no generator.
    """
    _build(Path(folder), "generator")
    given = _read_weights(Path(folder))
    own = net.state_dict()
    fits = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    net.load_state_dict(fits, strict=False)
    return sorted(own.keys() - fits.keys())


def _without_unused_blocks(given: dict[str, V], net: nn.Module) -> dict[str, V]:
    """Weights or shapes but those of encoder blocks after the last feature, of older files."""
    own = {match[0] for k in net.state_dict() if (match := ENCODER_BLOCK.match(k))}
    blocks = {k: match[0] for k in given if (match := ENCODER_BLOCK.match(k))}
    return {k: v for k, v in given.items() if not own or blocks.get(k) in {None, *own}}


def _renamed(layer: str) -> str:
    for old, new in RENAMED_LAYERS:
        layer = old.sub(new, layer)
    return layer
