"""Black boxes: trains a network that inpaints."""

from typing import ClassVar

from PIL import Image, ImageDraw

from lessonpipe.crappify.step import Random, Share, Step, WholeRange


class Hole(Step):
    """`count` black rectangles; `share` is the range of each side as a share of the picture's."""

    damage: ClassVar[str] = "black boxes"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    count: WholeRange = (1, 2)
    share: Share = (0.1, 0.3)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        holed = picture.copy()
        pen = ImageDraw.Draw(holed)
        width, height = holed.size
        for _ in range(rng.randint_range(self.count)):
            w = max(1, round(width * rng.uniform_range(self.share)))
            h = max(1, round(height * rng.uniform_range(self.share)))
            x, y = rng.point(max(0, width - w), max(0, height - h))
            pen.rectangle((int(x), int(y), int(x) + w - 1, int(y) + h - 1), fill=(0, 0, 0))
        return holed
