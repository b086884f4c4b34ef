"""What `restore` takes in Python, as samples and back: Pillow pictures, arrays, tensors, paths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from lessonpipe.errors import UserError
from lessonpipe.inference.decode import read_pages
from lessonpipe.inference.pixels import Pixels, from_pillow, to_8_bits, to_pillow

Restore = Callable[[Pixels], Pixels]
FLOAT_SCALE = 65535  # floats are restored as 16 bits


def restore_any(image: Any, restore: Restore) -> Any:
    """Restore a picture of any kind by a function of samples, and answer in kind.

    Raises `UserError` for other types, shapes and dtypes, `PictureError` for a bad file.
    """
    if isinstance(image, Image.Image):
        return to_pillow(restore(from_pillow(ImageOps.exif_transpose(image))))
    if isinstance(image, str | Path):
        page = next(iter(read_pages(Path(image), every=False)))
        restored = restore(page.pixels)
        plain = (
            restored.alpha is None and restored.color.shape[2] == 1
        )  # Pillow has no other 16 bits
        return to_pillow(restored if plain else to_8_bits(restored))
    if isinstance(image, np.ndarray):
        return _restore_array(image, restore)
    if isinstance(image, torch.Tensor):
        return _restore_tensor(image, restore)
    raise UserError(
        "a picture is a path, a Pillow picture, a NumPy array or a tensor, not "
        f"{type(image).__name__}"
    )


def _restore_tensor(image: torch.Tensor, restore: Restore) -> torch.Tensor:
    if image.ndim == 4:
        return torch.stack([_restore_tensor(one, restore) for one in image])
    if image.ndim != 3:
        raise UserError(f"a tensor is C H W or B C H W, not of shape {tuple(image.shape)}")
    kind = torch.float32 if image.is_floating_point() else image.dtype
    array = image.detach().to("cpu", kind).permute(1, 2, 0).numpy()
    restored = _restore_array(array, restore)
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(restored, -1, 0))).to(image)


def _restore_array(image: np.ndarray, restore: Restore) -> np.ndarray:
    layers = image[..., None] if image.ndim == 2 else image
    if layers.ndim != 3 or layers.shape[2] not in (1, 2, 3, 4) or layers.size == 0:
        raise UserError(f"an array is H W or H W 1...4, not of shape {image.shape}")
    if np.issubdtype(image.dtype, np.floating):
        if not (np.isfinite(layers).all() and layers.min() >= 0 and layers.max() <= 1):
            raise UserError("floats of a picture are from 0 to 1")
        values = (layers * FLOAT_SCALE).round().astype(np.uint16)
    elif image.dtype in (np.uint8, np.uint16):
        values = layers
    else:
        raise UserError(f"an array is of uint8, uint16 or floats, not {image.dtype}")
    alpha = values[..., -1] if values.shape[2] in (2, 4) else None
    color = values[..., :-1] if alpha is not None else values
    done = restore(Pixels(np.ascontiguousarray(color), alpha))
    restored = done.color if done.alpha is None else np.dstack([done.color, done.alpha])
    if np.issubdtype(image.dtype, np.floating):
        restored = (restored / FLOAT_SCALE).astype(image.dtype)
    squeezed = image.ndim == 2 and restored.shape[2] == 1
    return restored[..., 0] if squeezed else restored
