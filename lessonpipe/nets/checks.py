"""What a model folder says of itself is checked before it is used: anybody may have made it."""

import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from lessonpipe.errors import MissingError, UserError

MAX_JSON_BYTES, MAX_JSON_DEPTH = 4_000_000, 50
MAX_WEIGHT_BYTES, MAX_HEADER_BYTES = 2_000_000_000, 10_000_000
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
ITEM_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
# without O_NONBLOCK to open a pipe would wait for who writes
READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
Shapes = dict[str, tuple[int, ...]]


def _printable(text: str) -> str:
    if not text.isprintable():  # it would steer the terminal that it is shown in
        raise ValueError("has characters that cannot be printed")
    return text


Word = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
Sentence = Annotated[str, Field(max_length=1_000), AfterValidator(_printable)]
Words = Annotated[list[Word], Field(max_length=100)]


class _Trained(BaseModel):
    model_config = ConfigDict(strict=True)
    stage: Word | None = None


class _Lineage(BaseModel):
    model_config = ConfigDict(strict=True)
    commit: Word | None = None
    params: dict[str, Any] = {}
    inputs: dict[Word, Word] = {}


class _Measure(BaseModel):
    model_config = ConfigDict(strict=True)
    mean: float
    low: float
    high: float


class _Measures(BaseModel):
    model_config = ConfigDict(strict=True)
    psnr_gain: _Measure
    clean_psnr: _Measure | None = None
    text_removed: _Measure | None = None
    damage_removed: _Measure | None = None
    unseen_removed: _Measure | None = None


class _Card(BaseModel):
    model_config = ConfigDict(strict=True)
    summary: Sentence = ""
    licence: Word = ""
    measures: _Measures | None = None


Steps = Annotated[list[Word | dict[Word, Any]], Field(max_length=100)]


class ModelJson(BaseModel):
    """What is in a `model.json`, as far as anything here reads it."""

    model_config = ConfigDict(strict=True)
    lessonpipe: Word | None = None
    kind: Word
    build: dict[str, Any]
    about: _Trained = _Trained()
    recipe: Steps = []
    target: Steps = []
    undoes: Words = []
    lineage: _Lineage = _Lineage()
    card: _Card = _Card()


def read_checked_json(path: Path) -> dict[str, Any]:
    """The JSON of a model. Raises `UserError` for what is too large, too deep or of other types."""
    with _opened(path, MAX_JSON_BYTES) as (stream, _):
        content = stream.read(MAX_JSON_BYTES)
    try:
        found: dict[str, Any] = json.loads(content)
        if _depth(found) > MAX_JSON_DEPTH:
            raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep")
        ModelJson.model_validate(found)
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {reasons(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from None
    return found


def reasons(error: ValidationError) -> str:
    """What is wrong with which fields, in a line."""
    return "; ".join(
        ".".join(map(str, [*wrong["loc"]])) + f": {wrong['msg']}" for wrong in error.errors()[:5]
    )


def read_shapes(weights: Path) -> Shapes:
    """The shapes of a weights file's tensors by name, of its header alone.

    Raises `MissingError` without the file, `UserError` for one that is too large or damaged.
    """
    if not weights.exists():
        raise MissingError(
            f"{weights} is not there; the model folder is incomplete", weights.parent
        )
    with _opened(weights, MAX_WEIGHT_BYTES) as (stream, size):
        length = int.from_bytes(stream.read(8), "little")
        if length > min(MAX_HEADER_BYTES, size - 8):
            raise UserError(f"{weights} is damaged: it has no header of safetensors")
        header = stream.read(length)
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        shapes = {name: _shape(tensor, size - 8 - length) for name, tensor in tensors.items()}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{weights} is damaged: {type(error).__name__} {error}") from None
    if sum(map(math.prod, shapes.values())) * ITEM_BYTES["F32"] > MAX_WEIGHT_BYTES:
        raise UserError(f"{weights} has more than {MAX_WEIGHT_BYTES:,} bytes of weights")
    return shapes


def _shape(tensor: Mapping[str, Any], data_bytes: int) -> tuple[int, ...]:
    shape, (begin, end) = tensor["shape"], tensor["data_offsets"]
    if not all(type(n) is int and 0 <= n <= MAX_WEIGHT_BYTES for n in (*shape, begin, end)):
        raise ValueError(f"a tensor has the shape {shape!r:.100} at {begin!r:.20}")
    if len(shape) > 8 or math.prod(shape) * ITEM_BYTES[tensor["dtype"]] != end - begin:
        raise ValueError("a tensor has other bytes than its shape says")
    if end > data_bytes:
        raise ValueError("a tensor lies beyond the file's end")
    return tuple(shape)


def check_fit(weights: Path, given: Shapes, net: nn.Module) -> None:
    """Raise `UserError` unless a file's tensors are those of the network by name and shape."""
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    wrong = {
        "lacks": own.keys() - given.keys(),
        "also has": given.keys() - own.keys(),
        "has in another shape": {k for k in own.keys() & given.keys() if own[k] != given[k]},
    }
    told = "; it ".join(f"{what} {_some(names)}" for what, names in wrong.items() if names)
    if told:
        raise UserError(f"{weights} is damaged or of another network: it {told}")


def _some(names: Iterable[str], most: int = 3) -> str:
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name!r:.100}" for name in names[:most]) + more


@contextmanager
def _opened(path: Path, most_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file and its size. Raises `UserError` for a pipe, a device, and a large file."""
    try:
        descriptor = os.open(path, READ)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is no file, but a folder, pipe or device")
        if found.st_size > most_bytes:
            raise UserError(f"{path} has {found.st_size:,} bytes; at most {most_bytes:,} are read")
        yield stream, found.st_size


def _depth(value: Any) -> int:
    """How deep lists and dicts are nested, counted without nesting calls."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth
