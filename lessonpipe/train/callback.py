"""What can watch a training while it runs."""

from collections.abc import Callable
from typing import Protocol


class Callback(Protocol):
    """What `fit` calls on every worker as it goes; a subclass overrides what it needs."""

    def on_train_start(self, step: int) -> None:
        """The training goes on after `step` steps over all phases: later ones come again."""
        return None

    def on_step_end(self, losses: Callable[[], dict[str, float]]) -> None:
        """A step is done. `losses()` are the means over this worker's steps since its last call.

        They are named as in the history. Calling it waits for the device.
        """
        return None

    def on_validation_end(self, row: dict[str, float]) -> None:
        """An epoch has its row of the history, but is not saved yet: it may come again."""
        return None

    def on_epoch_end(self, row: dict[str, float]) -> None:
        """The epoch is saved: it never comes again."""
        return None

    def on_train_end(self) -> None:
        """All phases are done."""
        return None


class NoCallback(Callback):
    """Watches nothing."""
