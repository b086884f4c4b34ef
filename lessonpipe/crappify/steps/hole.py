"""Black boxes: teaches filling holes."""

from typing import ClassVar

from PIL import Image, ImageDraw

from lessonpipe.crappify.step import Draws, Share, Step, WholeRange


class Hole(Step):
    """Black rectangles, `count` of them, each side a `share` of the picture's."""

    spots: ClassVar[bool] = True
    count: WholeRange = (1, 2)
    share: Share = (0.1, 0.3)

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        holed = picture.copy()
        pen = ImageDraw.Draw(holed)
        width, height = holed.size
        for _ in range(draws.whole(self.count)):
            w = max(1, round(width * draws.between(self.share)))
            h = max(1, round(height * draws.between(self.share)))
            x, y = draws.place(max(0, width - w), max(0, height - h))
            pen.rectangle((int(x), int(y), int(x) + w - 1, int(y) + h - 1), fill=(0, 0, 0))
        return holed
