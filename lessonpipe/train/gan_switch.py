"""Whose turn it is, generator's or critic's (fastai's *switcher*). Knows nothing of networks."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from pydantic import Field

from lessonpipe.config import StrictModel

Turn = Literal["critic", "generator"]


class Adaptive(StrictModel):
    """Options of `AdaptiveSwitch`."""

    kind: Literal["adaptive"]
    threshold: float = Field(0.65, gt=0)
    patience: int | None = Field(None, ge=1)


class Fixed(StrictModel):
    """Options of `FixedSwitch`."""

    kind: Literal["fixed"]
    critic: int = Field(5, ge=1)
    generator: int = Field(1, ge=1)


class Switch(Protocol):
    """Decides after every step whose turn is next. Training starts with the critic.

    `needs_loss` says whether it looks at the loss, which costs a wait for the device.
    """

    turn: Turn
    needs_loss: ClassVar[bool]

    def after_step(self, loss: float) -> None:
        """Take note of the step just made and its loss."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        ...


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
    needs_loss: ClassVar[bool] = True

    def after_step(self, loss: float) -> None:
        """Switch away from the critic when its loss or its patience says so."""
        self.run += 1
        impatient = self.patience is not None and self.run >= self.patience
        if self.turn == "generator":
            self.turn, self.run = "critic", 0
        elif loss < self.threshold or impatient:
            self.turn, self.run = "generator", 0

    def state_dict(self) -> dict[str, Any]:
        """Whose turn it is, and for how many steps it has been."""
        return {"turn": self.turn, "run": self.run}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.turn, self.run = state["turn"], state["run"]


@dataclass
class FixedSwitch:
    """`critic` steps of the critic, then `generator` steps of the generator, and again."""

    critic: int = 5
    generator: int = 1
    turn: Turn = "critic"
    run: int = 0
    needs_loss: ClassVar[bool] = False

    def after_step(self, loss: float) -> None:
        """Switch when the steps of this turn are made."""
        self.run += 1
        if self.run >= (self.critic if self.turn == "critic" else self.generator):
            self.turn, self.run = ("generator" if self.turn == "critic" else "critic"), 0

    state_dict = AdaptiveSwitch.state_dict
    load_state_dict = AdaptiveSwitch.load_state_dict


def make_switch(config: Adaptive | Fixed) -> Switch:
    """The switch that params.yaml describes."""
    if isinstance(config, Fixed):
        return FixedSwitch(config.critic, config.generator)
    return AdaptiveSwitch(config.threshold, config.patience)
