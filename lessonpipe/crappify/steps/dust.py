"""Dust: many small specks, light or dark."""

from typing import ClassVar

from PIL import Image, ImageDraw

from lessonpipe.crappify.step import PositiveShare, Random, Share, Step, WholeRange
from lessonpipe.crappify.steps.paint import paint_color


class Dust(Step):
    """`count` specks; `share` is the range of their radius as a share of the shorter side."""

    damage: ClassVar[str] = "dust"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (10, 120)
    share: PositiveShare = (0.001, 0.008)
    opacity: Share = (0.4, 1.0)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        width, height = picture.size
        scale = 3 if max(self.share) * min(picture.size) < 4 else 1  # edges between pixels
        masks = [Image.new("L", (width * scale, height * scale)) for _ in range(2)]
        pens = [ImageDraw.Draw(mask) for mask in masks]
        for _ in range(rng.randint_range(self.count)):
            x, y = rng.point(width * scale, height * scale)
            r = scale * max(0.4, rng.log_uniform(self.share) * min(picture.size))
            wide, tall = r * rng.uniform(0.5, 1), r * rng.uniform(0.5, 1)
            level = round(255 * rng.uniform_range(self.opacity))
            rng.choice(pens).ellipse((x - wide, y - tall, x + wide, y + tall), fill=level)
        for mask in masks:
            small = mask.reduce(scale) if scale > 1 else mask
            picture = Image.composite(paint_color(picture.size, rng), picture, small)
        return picture
