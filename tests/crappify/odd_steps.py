"""Steps of one's own for tests: such as recipes call by `odd_steps.NAME`."""

from pathlib import Path

from PIL import Image

from lessonpipe.crappify import Random, Step
from lessonpipe.data.photos import to_rgb

ROOT = Path()


def darker(picture: Image.Image, rng: Random, by: float) -> Image.Image:
    return picture.point(lambda value: int(value // by))


class Lighter(Step):
    by: int = 10

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        return picture.point(lambda value: min(255, value + self.by))


def failing(picture: Image.Image, rng: Random) -> Image.Image:
    return picture.crop((0, 0, 1, 1 // len("")))


def grey_without_a_word(picture: Image.Image, rng: Random) -> Image.Image:
    return picture.convert("L")


def nothing(picture: Image.Image, rng: Random) -> None:
    return None


def _hidden(picture: Image.Image, rng: Random) -> Image.Image:
    return to_rgb(picture)
