"""What the page needs of whoever trains: to start a recipe's training and to look at it."""

from dataclasses import dataclass
from typing import Protocol

from lessonpipe.crappify.recipe import Steps


@dataclass(frozen=True)
class Run:
    """How far a training is: a line for a person, the percentage of what it says, and its end."""

    text: str
    percent: float
    ended: bool = False
    succeeded: bool = False


class Training(Protocol):
    """Trains a restorer for a recipe, elsewhere."""

    def start(self, recipe: Steps) -> str:
        """Start a training; returns its id. Raises `UserError` when it cannot be started."""
        ...

    def look(self, run: str) -> Run:
        """How far a training is. Raises `UserError` when that cannot be known."""
        ...
