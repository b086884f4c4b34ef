"""A watermark: translucent text in a slanted grid."""

from typing import ClassVar

from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from lessonpipe.crappify.step import Angle, Random, Share, Step


class Watermark(Step):
    """The text `says` in white, repeated over the picture and rotated by `angle` degrees.

    `opacity`, `angle` and `letters`, the text's height as a share of the shorter side, are ranges
    from which one number is drawn for each picture.
    """

    damage: ClassVar[str] = "watermarks"
    is_local: ClassVar[bool] = True
    keeps_colour: ClassVar[bool] = True
    says: str = Field("SAMPLE", min_length=1, max_length=60)
    opacity: Share = (0.2, 0.5)
    angle: Angle = (-45, 45)
    letters: Share = (0.08, 0.15)

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        width, height = picture.size
        tall = max(6.0, rng.uniform_range(self.letters) * min(picture.size))
        font = ImageFont.load_default(tall)
        reach = 2 * max(width, height)
        mask = Image.new("L", (reach, reach))
        pen = ImageDraw.Draw(mask)
        step = max(1, int(pen.textlength(self.says + "   ", font=font)))
        strength = round(255 * rng.uniform_range(self.opacity))
        start_x, start_y = rng.point(step, tall * 3)
        for row, y in enumerate(range(-int(start_y), reach, max(1, int(tall * 3)))):
            for x in range(-int(start_x) - row % 2 * step // 2, reach, step):
                pen.text((x, y), self.says, fill=strength, font=font)
        left, top = (reach - width) // 2, (reach - height) // 2
        rotated = mask.rotate(rng.uniform_range(self.angle), Image.Resampling.BILINEAR)
        rotated = rotated.crop((left, top, left + width, top + height))
        return Image.composite(Image.new("RGB", picture.size, "white"), picture, rotated)
