"""The base class of steps: typed settings, and a call that degrades one picture."""

import math
import random
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

from PIL import Image
from pydantic import AfterValidator, BeforeValidator, Field

from lessonpipe.config import StrictModel


class Random(random.Random):
    """The random generator of one picture, seeded by the recipe's seed and the picture's name.

    `quality` is drawn once a picture and shared by its steps (the number that `text` writes, JPEG's
    quality). Steps named in `skip` draw their numbers and have no effect, so that a picture can be
    degraded with and without one step and be the same elsewhere.
    """

    quality: int = 50
    skip: frozenset[str] = frozenset()

    def uniform_range(self, span: tuple[float, float]) -> float:
        """A number drawn uniformly from `span`."""
        return self.uniform(*span)

    def log_uniform(self, span: tuple[float, float]) -> float:
        """A number drawn from `span`, each factor of two as likely; the span is above 0."""
        low, high = span
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def randint_range(self, span: tuple[int, int]) -> int:
        """An integer drawn uniformly from `span`, both ends included."""
        return self.randint(*span)

    def point(self, width: float, height: float) -> tuple[float, float]:
        """A point within a picture, in pixels."""
        return self.uniform(0, width), self.uniform(0, height)


class Step(StrictModel):
    """One kind of damage, with its settings as fields; `damage` is what people call it.

    `is_local` is true where it damages parts of a picture and leaves the rest unchanged: of such a
    step the report says how much of its damage is removed. `keeps_colour` is true where it could be
    undone on a picture of any colours: only then may training pictures have colours of no photo.
    """

    damage: ClassVar[str] = ""
    is_local: ClassVar[bool] = False
    keeps_colour: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        """Return a degraded copy of an RGB picture."""


def _within(low: float, high: float) -> tuple[AfterValidator, Any]:
    """A validator of ranges within `low` and `high`, and both for the JSON schema of a step."""

    def check(span: tuple[float, float]) -> tuple[float, float]:
        if span[0] > span[1]:
            raise ValueError(f"a range goes from low to high, not {list(span)}")
        if span[0] < low:
            raise ValueError(f"{list(span)} goes below {low:g}")
        if span[1] > high:
            raise ValueError(f"{list(span)} goes above {high:g}")
        return span

    limits: dict[str, Any] = {"minimum": low, "maximum": high}
    return AfterValidator(check), Field(json_schema_extra=limits)


def _as_range(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value, value)


Range = Annotated[tuple[float, float], *_within(0, 10_000)]
Share = Annotated[tuple[float, float], *_within(0, 1)]
Angle = Annotated[tuple[float, float], *_within(-360, 360)]
PositiveShare = Annotated[tuple[float, float], *_within(0.0001, 1)]  # can be drawn log-uniformly
WholeRange = Annotated[tuple[int, int], *_within(0, 10_000)]
Sides = Annotated[tuple[int, int], *_within(8, 4096), BeforeValidator(_as_range)]  # pixels
Quality = Annotated[tuple[int, int], *_within(1, 95)]  # JPEG's
