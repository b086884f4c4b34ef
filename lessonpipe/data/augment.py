"""Augmentation: one random view of a pair, in which both images move together.

The lesson's set, fastai v1's numbers: flip; rotate, zoom at a random centre and warp, each
with its own probability; brightness and contrast on logits. What moves a picture is one sampling
of its full-size pixels (`sampling.py`), with a random cut of what is not square; flips without
moves and lights are made on batches, on their device.

fastai v2 differs in two things: its warp draws two numbers, each of which happens with its own
probability, where v1 draws four, one a side of the picture, that happen together; and it turns
and zooms the warped picture, where v1 (and this) warps the one that was turned and zoomed.
"""

import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from lessonpipe.config import StrictModel
from lessonpipe.data.sampling import Sampling
from lessonpipe.device import send


class Augment(StrictModel):
    """How much of what. Angles in degrees; `zoom` is the largest enlargement, 1 for none."""

    flip: bool = True
    rotate: float = Field(0.0, ge=0, le=180)
    zoom: float = Field(1.0, ge=1, le=8)
    warp: float = Field(0.0, ge=0, lt=1)
    light: float = Field(0.0, ge=0, lt=1)
    p_affine: float = Field(0.75, ge=0, le=1)
    p_light: float = Field(0.75, ge=0, le=1)

    @property
    def moves(self) -> bool:
        """Whether pictures are turned, zoomed or warped: sampled from their full size, and cut."""
        return self.rotate > 0 or self.zoom > 1 or self.warp > 0

    def draw(self, count: int, rng: torch.Generator) -> "View":
        """Draw `count` views from `rng`."""

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
        lights = (bright, contrast) if self.light > 0 else None
        if not self.moves:  # the draws below come last: without moves, the stream stays the same
            return View(flip, None, lights)
        more = even(-self.warp, self.warp, 2) if self.warp > 0 else warp
        warp = torch.cat([warp, more], dim=1) * warped
        drawn = (_affine(angle, zoom, centre), _perspective(warp), flip, even(0, 1, 2))
        samplings = [
            Sampling(affine, tilt, flipped, (down, across))
            for affine, tilt, flipped, (down, across) in zip(
                *(numbers.tolist() for numbers in drawn), strict=True
            )
        ]
        return View(flip, samplings, lights)


@dataclass(frozen=True)
class View:
    """Drawn views of a batch: which are flipped, how they are moved, how they are lit."""

    flip: Tensor  # B
    samplings: list[Sampling] | None  # B; each flips, too
    lights: tuple[Tensor, Tensor] | None  # B, B: added to and multiplied with the logits

    def part(self, share: slice) -> "View":
        """The views of a part of the batch."""
        samplings = None if self.samplings is None else self.samplings[share]
        lights = None if self.lights is None else (self.lights[0][share], self.lights[1][share])
        return View(self.flip[share], samplings, lights)

    def __call__(self, x: Tensor) -> Tensor:
        """The views of pictures in 0...1, sampled before if they move: `B C H W -> B C H W`."""
        x = self.labels(x)
        if self.lights is not None:
            bright, contrast = (send(v, x.device)[:, None, None, None] for v in self.lights)
            x = torch.sigmoid((torch.logit(x, 1e-7) + bright) * contrast)
        return x

    def labels(self, y: Tensor) -> Tensor:
        """The same views of classes, `B H W`, on which no light falls."""
        if self.samplings is not None or not self.flip.any():
            return y
        flip = send(self.flip, y.device).view(-1, *[1] * (y.ndim - 1))
        return torch.where(flip, y.flip(-1), y)


def _affine(angle: Tensor, zoom: Tensor, centre: Tensor) -> Tensor:
    """The matrices of a turn of the zoomed picture: `B`, `B`, `B 2 -> B 3 3`."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).view(-1, 3, 3)
    scale = torch.stack(
        [1 / zoom, zero, centre[:, 0], zero, 1 / zoom, centre[:, 1], zero, zero, one], -1
    ).view(-1, 3, 3)
    return turn @ scale


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
