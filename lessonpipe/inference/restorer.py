"""A model folder and a picture -> a better picture. Any size; nothing but the folder is needed."""

import math
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from lessonpipe.app.registry import default_model
from lessonpipe.data.photos import MAX_PIXELS, to_rgb
from lessonpipe.data.pictures import to_picture, to_tensor
from lessonpipe.device import Precision, Worker
from lessonpipe.errors import UserError
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator
from lessonpipe.nets.unet import pad_to_grid


class Restorer:
    """A generator that is ready: loaded once, used for any number of pictures."""

    def __init__(self, model: str | Path | None = None, *, precision: Precision = "auto") -> None:
        self.worker = Worker.current(precision)
        net = load_generator(Path(model or default_model()))
        self.grid = net.grid
        self.net = self.worker.to_device(fold_weight_norm(net)).requires_grad_(False)

    def __call__(
        self,
        picture: Image.Image,
        *,
        scale: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> Image.Image:
        """The restored picture, RGB.

        It is first enlarged (bicubic) to `size`, width and height, or by `scale`, as the crappy
        pictures were in training, and has that size in the end. EXIF orientation is applied.
        Raises `UserError` for sizes that are no sizes, and for more than `MAX_PIXELS`.
        """
        if not math.isfinite(scale):
            raise UserError(f"a picture cannot be enlarged {scale} times")
        picture = to_rgb(ImageOps.exif_transpose(picture))
        width, height = size or (round(side * scale) for side in picture.size)
        if min(width, height) < 1 or width * height > MAX_PIXELS:
            raise UserError(
                f"a picture cannot become {width}x{height} pixels; give it at least 1 a side and "
                f"at most {MAX_PIXELS // 1_000_000} million"
            )
        if (width, height) != picture.size:
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        x = to_tensor(picture)[None].float() / 255
        return to_picture(self.run(x)[0])

    @torch.inference_mode()
    def run(self, x: Tensor) -> Tensor:
        """Pictures of any size, `B 3 H W` in 0...1: padded to the grid by mirroring, cut back."""
        height, width = x.shape[-2:]
        x = pad_to_grid(x, self.grid)
        try:
            with self.worker.autocast():
                made: Tensor = self.net(self.worker.batch_to_device(x))
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{width}x{height} pixels do not fit in the memory of {self.worker.device}; use "
                "LESSONPIPE_DEVICE=cpu, or a smaller --scale"
            ) from error
        return made[..., :height, :width].float()


@lru_cache(maxsize=2)
def _restorer(model: str, changed: int) -> Restorer:
    return Restorer(model)


def restore(
    image: Image.Image,
    model: str | Path | None = None,
    *,
    scale: float = 1.0,
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """Restore one picture with a model folder, which stays loaded until its weights change.

    By default it is the model in service, or else models/fit_feature. See `Restorer.__call__` for
    `scale` and `size`.
    """
    weights = Path(model or default_model()).resolve() / "model.safetensors"
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _restorer(str(weights.parent), changed)(image, scale=scale, size=size)
