"""Scratches by many hands: straight or curved, thin or wide, whole or worn, light or dark."""

import math
from itertools import pairwise
from typing import ClassVar

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from lessonpipe.crappify.step import PositiveShare, Random, Share, Step, WholeRange
from lessonpipe.crappify.steps.paint import noise_mask, paint_color

Point = tuple[float, float]


class Scratch(Step):
    """`count` strokes; `width` is the range of their width as a share of the shorter side.

    Widths are drawn log-uniformly, so that thin ones are as many as wide ones: a scratch of a small
    picture and one of a large scan, seen pixel by pixel, are the same to a network.
    """

    damage: ClassVar[str] = "scratches"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (1, 8)
    width: PositiveShare = (0.002, 0.05)
    opacity: Share = (0.3, 1.0)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        for _ in range(rng.randint_range(self.count)):
            thick = max(0.6, rng.log_uniform(self.width) * min(picture.size))
            mask = _stroke(picture.size, rng, thick)
            if rng.random() < 0.4:
                mask = ImageChops.multiply(mask, noise_mask(picture.size, rng, thick * 3))
            if rng.random() < 0.5:
                mask = mask.filter(ImageFilter.GaussianBlur(thick * rng.uniform(0.1, 0.5)))
            opacity = rng.uniform_range(self.opacity)
            mask = mask.point([round(level * opacity) for level in range(256)])
            picture = Image.composite(paint_color(picture.size, rng), picture, mask)
        return picture


def _stroke(size: tuple[int, int], rng: Random, thick: float) -> Image.Image:
    """A mask of one stroke: a line half of the time, else a Bézier curve."""
    scale = 3 if thick < 4 else 2  # edges between pixels: stairs would give a stroke away
    width, height = size
    x, y = rng.point(width, height)
    turn, long = rng.uniform(0, math.tau), rng.log_uniform((0.1, 2)) * min(size)
    ends = [(x, y), (x + long * math.cos(turn), y + long * math.sin(turn))]
    points = ends
    if rng.random() < 0.5:
        sway = 0.35 * long
        inner = [
            (
                ends[0][0] + share * (ends[1][0] - ends[0][0]) + rng.uniform(-sway, sway),
                ends[0][1] + share * (ends[1][1] - ends[0][1]) + rng.uniform(-sway, sway),
            )
            for share in (1 / 3, 2 / 3)
        ]
        points = [_bezier([ends[0], *inner, ends[1]], step / 24) for step in range(25)]
    mask = Image.new("L", (width * scale, height * scale))
    scaled = [(px * scale, py * scale) for px, py in points]
    ImageDraw.Draw(mask).line(scaled, fill=255, width=max(1, round(thick * scale)), joint="curve")
    return mask.reduce(scale)


def _bezier(points: list[Point], t: float) -> Point:
    """The point at `t` in 0...1 of a Bézier curve (de Casteljau)."""
    while len(points) > 1:
        points = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in pairwise(points)]
    return points[0]
