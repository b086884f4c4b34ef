"""One sampling of a full-size picture: warped, turned, zoomed, resized, flipped and cut at once.

As in fastai v1: all that moves a picture is composed with its resizing, and its pixels are read
once. Of a picture that is shrunk first and zoomed after, hardly any fine detail is left.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]  # height, width


def frame_size(picture: Tensor, px: int) -> Size:
    """The height and width of a picture, `C H W`, once its shorter side is `px`."""
    height, width = picture.shape[-2:]
    ratio = min(height, width) / px
    return round(height / ratio), round(width / ratio)


@dataclass(frozen=True)
class Sampling:
    """Where the pixels of one view are in its picture.

    Places are -1...1 from the middle of the first pixel to that of the last, on both sides. What
    is beside the picture mirrors it.
    """

    affine: list[list[float]]  # 3 3, from warped places to places in the picture, if it is square
    warp: list[list[float]]  # 3 3, from places in the view to warped ones
    flip: bool = False
    crop: tuple[float, float] = (0.5, 0.5)  # the cut's place, 0...1 down and across

    def __call__(
        self,
        picture: Tensor,
        size: Size,
        frame: Size | None = None,
        mode: Literal["bilinear", "nearest"] = "bilinear",
    ) -> Tensor:
        """The view of a picture of any size: `C H W -> C height width`, values as they were.

        The picture fills the `frame`, and `size` is cut from that; by default all of it. Where it
        is shrunk to less than half, it is averaged down half of the way first (as fastai does), but
        not where that would cost detail that the zoom shows. `nearest` never mixes pixels.
        """
        height, width = frame or size
        matrix = self.matrix(height, width)
        shrink = min(picture.shape[-2] / height, picture.shape[-1] / width) / 2
        if mode == "bilinear" and shrink > 1 and shrink > _zoom(matrix):
            picture = F.interpolate(picture[None], scale_factor=1 / shrink, mode="area")[0]
        top, left = (
            min(int((whole - part + 1) * place), whole - part)
            for whole, part, place in zip((height, width), size, self.crop, strict=True)
        )
        y = torch.linspace(-1, 1, height, device=picture.device)[top : top + size[0]]
        x = torch.linspace(-1, 1, width, device=picture.device)
        x = (x.flip(0) if self.flip else x)[left : left + size[1]]
        grid = _moved(matrix.to(picture.device), x.expand(size), y[:, None].expand(size))
        return F.grid_sample(
            picture[None], grid[None], mode, padding_mode="reflection", align_corners=True
        )[0]

    def matrix(self, height: int, width: int) -> Tensor:
        """From places in a frame of that size to places in the picture: `3 3`."""
        affine = torch.tensor(self.affine)
        affine[0, 1] *= height / width  # else a turn would shear what is not square
        affine[1, 0] *= width / height
        return affine @ torch.tensor(self.warp)


def _moved(matrix: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Where `matrix`, `3 3`, moves places `x` and `y`, `... -> ... 2`."""
    moved = torch.stack([x, y, torch.ones_like(x)], -1) @ matrix.mT
    return moved[..., :2] / moved[..., 2:].clamp(min=0.1)


def _zoom(matrix: Tensor) -> float:
    """How far a frame's places are apart less than the picture's; 1 where nothing is zoomed."""
    sides = torch.tensor([-1.0, 1.0])
    corners = _moved(matrix, sides.expand(2, 2), sides[:, None].expand(2, 2))
    return 2 / float(corners.max() - corners.min())
