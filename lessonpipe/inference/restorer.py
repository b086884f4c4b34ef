"""Restoring a picture of any size with the generator of a model folder."""

import math
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from lessonpipe.data.photos import MAX_PIXELS, to_rgb
from lessonpipe.data.pictures import to_picture, to_tensor
from lessonpipe.device import Precision, Worker
from lessonpipe.errors import UserError
from lessonpipe.nets.generator import fold_weight_norm
from lessonpipe.nets.io import load_generator
from lessonpipe.nets.unet import pad_to_grid


class Restorer:
    """The generator of the folder `model`, on this machine's device, for any number of pictures.

    Raises `MissingError` when the folder holds no model, `UserError` when it is damaged.
    """

    def __init__(self, model: str | Path, *, precision: Precision = "auto") -> None:
        self.worker = Worker.current(precision)
        net = load_generator(Path(model))
        self.grid = net.grid
        self.net = self.worker.to_device(fold_weight_norm(net)).requires_grad_(False)

    def __call__(
        self,
        picture: Image.Image,
        *,
        scale: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> Image.Image:
        """Restore a picture, RGB: its size times `scale`, or `size` (width, height) in pixels.

        It is enlarged first (bicubic), as crappy pictures are in training. EXIF orientation is
        applied. Raises `UserError` for a size below 1 or of more than `MAX_PIXELS`.
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
        """Restore a batch of any size, `B 3 H W` in 0...1; padded to the grid for the network."""
        height, width = x.shape[-2:]
        x = pad_to_grid(x, self.grid)
        try:
            with self.worker.autocast():
                restored: Tensor = self.net(self.worker.batch_to_device(x))
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{width}x{height} pixels do not fit in the memory of {self.worker.device}; use "
                "LESSONPIPE_DEVICE=cpu, or a smaller --scale"
            ) from error
        return restored[..., :height, :width].float()
