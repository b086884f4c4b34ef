"""The call from Python: `lessonpipe.restore(picture)`."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from PIL import Image

from lessonpipe.app.registry import default_model
from lessonpipe.inference.restorer import Restorer
from lessonpipe.zoo import find_model

if TYPE_CHECKING:
    from torch import Tensor

P = TypeVar("P", Image.Image, np.ndarray, "Tensor")


@overload
def restore(
    image: P,
    model: str | Path | None = None,
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    strength: float = 1.0,
    tone: float = 1.0,
    memory: int | str | None = None,
) -> P: ...
@overload
def restore(
    image: str | Path,
    model: str | Path | None = None,
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    strength: float = 1.0,
    tone: float = 1.0,
    memory: int | str | None = None,
) -> Image.Image: ...
def restore(
    image: Any,
    model: str | Path | None = None,
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
    strength: float = 1.0,
    tone: float = 1.0,
    memory: int | str | None = None,
) -> Any:
    """Restore a picture: its size times `scale`, or `size` (width, height) in pixels.

    It answers in kind: a Pillow picture; a NumPy array `H W` or `H W 1...4` of uint8, uint16 or
    floats of 0...1; a tensor `C H W` or `B C H W`, the same. Of a path, the first page as a
    Pillow picture (`Restorer.restore_file` writes a file, with all that belongs to it). `strength`
    blends with the enlarged original, `tone` is how much of the change of tones and colours is
    kept, `memory` bounds what is taken ("2GB").

    `model` is a model folder or the name of one of the package's models, by default the one in
    production, else the one trained last, else "old-photo" or, to enlarge, "enlarge". It stays
    loaded until its weights change. Raises `MissingError` when the folder holds no model,
    `UserError` when it is damaged or an argument is impossible, `PictureError` for a file that is
    no picture.
    """
    enlarges = size is not None or scale > 1
    folder = (find_model(model) if model else default_model(enlarges=enlarges)).resolve()
    weights = folder / "model.safetensors"
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    restorer = _restorer(folder, changed, strength, tone, memory)
    return restorer(image, scale=scale, size=size)


@lru_cache(maxsize=2)
def _restorer(
    model: Path, changed: int, strength: float, tone: float, memory: int | str | None
) -> Restorer:
    return Restorer(model, strength=strength, tone=tone, memory=memory)
