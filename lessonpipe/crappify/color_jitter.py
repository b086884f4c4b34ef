"""Colours of other photos: a few kinds of rooms teach few colours."""

import random

from PIL import Image, ImageChops, ImageEnhance


def color_jitter(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Turn the hue, and change gamma, saturation and contrast of an RGB picture.

    Its channels are swapped in a third of the pictures, and it is inverted in one of ten.
    """
    hue, value = rng.randrange(256), rng.uniform(-0.5, 0.5)
    saturation, contrast = rng.uniform(0.4, 2.0), rng.uniform(0.8, 1.4)
    order = rng.sample(range(3), 3) if rng.random() < 1 / 3 else [0, 1, 2]
    inverted = rng.random() < 0.1
    channels = picture.convert("HSV").split()
    turned = Image.merge("HSV", [channels[0].point(lambda h: (h + hue) % 256), *channels[1:]])
    split = turned.convert("RGB").split()
    picture = Image.merge("RGB", [split[i] for i in order])
    picture = picture.point([round(255 * (level / 255) ** 2.0**value) for level in range(256)] * 3)
    picture = ImageEnhance.Color(picture).enhance(saturation)
    picture = ImageEnhance.Contrast(picture).enhance(contrast)
    return ImageChops.invert(picture) if inverted else picture
