"""The call from Python: `lessonpipe.restore(picture)`."""

from functools import lru_cache
from pathlib import Path

from PIL import Image

from lessonpipe.app.registry import default_model
from lessonpipe.inference.restorer import Restorer


def restore(
    image: Image.Image,
    model: str | Path | None = None,
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """Restore a picture, RGB: its size times `scale`, or `size` (width, height) in pixels.

    The model folder, by default the one in production or else the one trained last, stays loaded
    until its weights change. Raises `MissingError` when the folder holds no model, `UserError` when
    it is damaged or the size is impossible.
    """
    folder = Path(model or default_model()).resolve()
    weights = folder / "model.safetensors"
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _restorer(folder, changed)(image, scale=scale, size=size)


@lru_cache(maxsize=2)
def _restorer(model: Path, changed: int) -> Restorer:
    return Restorer(model)
