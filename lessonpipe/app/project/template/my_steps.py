"""Damage of your own: a step is a function or a `Step` class here, and a line in params.yaml.

All chance comes from `rng`, in an order that depends on settings and the picture's size alone: then
the same photos become the same pairs on any number of workers.
"""

from typing import ClassVar

from PIL import Image, ImageDraw, ImageFilter

from lessonpipe.crappify import Random, Step
from lessonpipe.crappify.step import Share


class Coffee(Step):
    """Rings that a cup has left: `rings` of them, a `share` of the shorter side in radius."""

    damage: ClassVar[str] = "coffee rings"  # that a model trained on it undoes, in words
    is_local: ClassVar[bool] = True  # the report then tells how much of it is removed
    keeps_colour: ClassVar[bool] = True
    rings: tuple[int, int] = (1, 3)
    share: Share = (0.1, 0.35)
    darkness: tuple[float, float] = (0.3, 0.8)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        """The stained picture; RGB in, RGB out."""
        mask = Image.new("L", picture.size)
        pen = ImageDraw.Draw(mask)
        for _ in range(rng.randint_range(self.rings)):
            x, y = rng.point(*picture.size)
            radius = rng.uniform_range(self.share) * min(picture.size)
            width = max(2, round(radius * rng.uniform_range((0.06, 0.2))))
            fill = round(255 * rng.uniform_range(self.darkness))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=fill, width=width)
        stained = picture.copy()
        stained.paste((92, 60, 28), mask=mask.filter(ImageFilter.GaussianBlur(1.2)))
        return stained
