"""Augmentation: one random view of a pair, in which both images move together.

The lesson's set, fastai v1's numbers: flip; rotate, zoom at a random centre and warp, each
with its own probability; brightness and contrast on logits. All on batches, on their device.

fastai v2 differs in two things: its warp draws two numbers, each of which happens with its own
probability, where v1 draws four, one a side of the picture, that happen together; and it turns
and zooms the warped picture, where v1 (and this) warps the one that was turned and zoomed.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lessonpipe.config import StrictModel


class Augment(StrictModel):
    """How much of what. Angles in degrees; `zoom` is the largest enlargement, 1 for none."""

    flip: bool = True
    rotate: float = Field(0.0, ge=0, le=180)
    zoom: float = Field(1.0, ge=1, le=8)
    warp: float = Field(0.0, ge=0, lt=1)
    light: float = Field(0.0, ge=0, lt=1)
    p_affine: float = Field(0.75, ge=0, le=1)
    p_light: float = Field(0.75, ge=0, le=1)

    def draw(self, count: int, rng: torch.Generator, *, aspect: float = 1.0) -> "View":
        """Draw `count` views from `rng`, of pictures whose height is `aspect` times their width."""

        def even(low: float, high: float, *shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=rng) * (high - low) + low

        def sometimes(p: float) -> Tensor:
            return (torch.rand(count, generator=rng) < p).float()

        flip = sometimes(0.5 if self.flip else 0.0).bool()
        angle = even(-self.rotate, self.rotate) * sometimes(self.p_affine) * math.pi / 180
        zoom = 1 + (even(1, self.zoom) - 1) * sometimes(self.p_affine)
        centre = even(-1, 1, 2) * (1 - 1 / zoom)[:, None]
        warp = even(-self.warp, self.warp, 2)
        warped = sometimes(self.p_affine)[:, None]
        bright = torch.logit(0.5 + even(-self.light, self.light) / 2 * sometimes(self.p_light))
        reach = -math.log(1 - self.light)
        contrast = torch.exp(even(-reach, reach) * sometimes(self.p_light))
        # The other sides' draws come last: without warp, nothing more is drawn than ever was.
        more = even(-self.warp, self.warp, 2) if self.warp > 0 else warp
        warp = torch.cat([warp, more], dim=1) * warped
        moves = self.rotate > 0 or self.zoom > 1 or self.warp > 0
        matrix = _matrix(angle, zoom, centre, warp, aspect) if moves else None
        lights = (bright, contrast) if self.light > 0 else None
        return View(flip, matrix, lights)


@dataclass(frozen=True)
class View:
    """Drawn views of a batch: which are flipped, how they are moved, how they are lit.

    Places are -1...1 from the middle of the first pixel to that of the last, on both sides.
    """

    flip: Tensor  # B
    matrix: Tensor | None  # B 3 3, from places in the view to places in the picture
    lights: tuple[Tensor, Tensor] | None  # B, B: added to and multiplied with the logits

    def part(self, share: slice) -> "View":
        """The views of a part of the batch."""
        matrix = None if self.matrix is None else self.matrix[share]
        lights = None if self.lights is None else (self.lights[0][share], self.lights[1][share])
        return View(self.flip[share], matrix, lights)

    def __call__(self, x: Tensor) -> Tensor:
        """The views of pictures in 0...1: `B C H W -> B C H W`."""
        if self.flip.any():
            x = torch.where(self.flip.to(x.device)[:, None, None, None], x.flip(-1), x)
        if self.matrix is not None:
            grid = _grid(self.matrix.to(x.device), *x.shape[-2:])
            x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=True)
        if self.lights is not None:
            bright, contrast = (v.to(x.device)[:, None, None, None] for v in self.lights)
            x = torch.sigmoid((torch.logit(x, 1e-7) + bright) * contrast)
        return x

    def labels(self, y: Tensor) -> Tensor:
        """The same views of classes, `B H W`: moved, never mixed, and no light falls on them."""
        if self.flip.any():
            y = torch.where(self.flip.to(y.device)[:, None, None], y.flip(-1), y)
        if self.matrix is None:
            return y
        grid = _grid(self.matrix.to(y.device), *y.shape[-2:])
        moved = F.grid_sample(
            y[:, None].float(), grid, "nearest", padding_mode="reflection", align_corners=True
        )
        return moved[:, 0].to(y.dtype)


def _matrix(
    angle: Tensor, zoom: Tensor, centre: Tensor, warp: Tensor, aspect: float = 1.0
) -> Tensor:
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    cos, sin = angle.cos(), angle.sin()
    across, down = -sin * aspect, sin / aspect  # a turn of a picture that is not square
    turn = torch.stack([cos, across, zero, down, cos, zero, zero, zero, one], -1).view(-1, 3, 3)
    scale = torch.stack(
        [1 / zoom, zero, centre[:, 0], zero, 1 / zoom, centre[:, 1], zero, zero, one], -1
    ).view(-1, 3, 3)
    return turn @ scale @ _perspective(warp)


def _perspective(warp: Tensor) -> Tensor:
    """The matrices that show the picture's corners where `warp` moves them: `B 4 -> B 3 3`.

    The numbers are how far the right and the left side reach up and down, the bottom and the top
    to both sides: a corner at (x, y) goes to (x + x*b, y + y*a). The identity without warp.
    """
    right, left, bottom, top = warp.unbind(1)  # B each
    x, y = torch.tensor([[-1.0, -1, 1, 1], [-1, 1, -1, 1]])
    to_x = x + x * torch.stack([top, bottom, top, bottom], 1)  # B 4
    to_y = y + y * torch.stack([left, left, right, right], 1)
    one, zero = torch.ones_like(to_x), torch.zeros_like(to_x)
    for_x = torch.stack([to_x, to_y, one, zero, zero, zero, -x * to_x, -x * to_y], -1)  # B 4 8
    for_y = torch.stack([zero, zero, zero, to_x, to_y, one, -y * to_x, -y * to_y], -1)
    corners = torch.cat([x, y]).expand(len(warp), 8)
    eight = torch.linalg.solve(torch.cat([for_x, for_y], 1), corners)
    return torch.cat([eight, one[:, :1]], 1).view(-1, 3, 3)


def _grid(matrix: Tensor, height: int, width: int) -> Tensor:
    y = torch.linspace(-1, 1, height, device=matrix.device)
    x = torch.linspace(-1, 1, width, device=matrix.device)
    places = torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.ones(height, width).to(x)]
    ).flatten(1)  # 3 S
    moved = matrix @ places  # B 3 S
    return (moved[:, :2] / moved[:, 2:].clamp(min=0.1)).mT.view(-1, height, width, 2)
