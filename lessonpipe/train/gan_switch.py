"""Whose turn it is, generator's or critic's. Knows nothing of networks."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Turn = Literal["critic", "generator"]


class Switch(Protocol):
    """Decides after every step who comes next. Training starts with the critic."""

    turn: Turn

    def after(self, loss: float) -> None:
        """Take note of the step just made and its loss."""
        ...

    def state(self) -> dict[str, Any]: ...

    def resume(self, state: dict[str, Any]) -> None: ...


@dataclass
class AdaptiveSwitch:
    """The critic trains until its loss is below `threshold`, then the generator gets one step.

    A critic that stays above it would starve the generator: after `patience` critic steps in a
    row the generator has its turn all the same (None: never, as in the lesson).
    """

    threshold: float = 0.65
    patience: int | None = None
    turn: Turn = "critic"
    run: int = 0

    def after(self, loss: float) -> None:
        """See `Switch`."""
        self.run += 1
        tired = self.patience is not None and self.run >= self.patience
        if self.turn == "generator":
            self.turn, self.run = "critic", 0
        elif loss < self.threshold or tired:
            self.turn, self.run = "generator", 0

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"turn": self.turn, "run": self.run}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.turn, self.run = state["turn"], state["run"]


@dataclass
class FixedSwitch:
    """`critic` steps of the critic, then `generator` steps of the generator, and again."""

    critic: int = 5
    generator: int = 1
    turn: Turn = "critic"
    run: int = 0

    def after(self, loss: float) -> None:
        """See `Switch`."""
        self.run += 1
        if self.run >= (self.critic if self.turn == "critic" else self.generator):
            self.turn, self.run = ("generator" if self.turn == "critic" else "critic"), 0

    state = AdaptiveSwitch.state
    resume = AdaptiveSwitch.resume
