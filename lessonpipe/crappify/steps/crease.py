"""Folds: a bright, broken line from edge to edge."""

import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from lessonpipe.crappify.step import Draws, Share, Step, WholeRange


class Crease(Step):
    """Wandering white lines, `count` of them, `width` wide as a share of the shorter side."""

    count: WholeRange = (1, 3)
    width: Share = (0.005, 0.02)

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        width, height = picture.size
        mask = Image.new("L", picture.size)
        pen = ImageDraw.Draw(mask)
        for _ in range(draws.whole(self.count)):
            x, y = draws.place(width, height)
            turn = draws.rng.uniform(0, math.pi)
            reach = math.hypot(width, height)
            wander = 0.01 * reach
            points = [
                (
                    x + t * reach / 12 * math.cos(turn) + draws.rng.gauss(0, wander),
                    y + t * reach / 12 * math.sin(turn) + draws.rng.gauss(0, wander),
                )
                for t in range(-12, 13)
            ]
            thick = max(1, round(draws.between(self.width) * min(picture.size)))
            pen.line(points, fill=draws.rng.randint(160, 255), width=thick, joint="curve")
        soft = mask.filter(ImageFilter.GaussianBlur(0.6))
        return ImageChops.screen(picture, Image.merge("RGB", (soft, soft, soft)))
