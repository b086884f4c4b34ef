"""What every step of a recipe is: typed settings, and a call that spoils one picture."""

import random
from dataclasses import dataclass, field
from typing import Annotated

from PIL import Image
from pydantic import AfterValidator

from lessonpipe.settings import Strict


@dataclass
class Draws:
    """The random choices of one picture; `quality` is drawn once and shared by its steps."""

    rng: random.Random
    quality: int
    skip: frozenset[str] = field(default_factory=frozenset)

    def between(self, span: "Range") -> float:
        """A number drawn evenly from `span`."""
        return self.rng.uniform(*span)

    def whole(self, span: "WholeRange") -> int:
        """A whole number drawn evenly from `span`, both ends included."""
        return self.rng.randint(*span)

    def place(self, width: float, height: float) -> tuple[float, float]:
        """A point within a picture."""
        return self.rng.uniform(0, width), self.rng.uniform(0, height)


class Step(Strict):
    """One kind of damage. Settings are its fields; unknown ones are refused."""

    def __call__(self, picture: Image.Image, draws: Draws) -> Image.Image:
        """Spoil an RGB picture; the given one is left as it is."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does")


def _in_order(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"a range goes from low to high, not {list(span)}")
    return span


Range = Annotated[tuple[float, float], AfterValidator(_in_order)]
WholeRange = Annotated[tuple[int, int], AfterValidator(_in_order)]
