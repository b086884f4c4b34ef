"""Errors that the person who runs the program can mend; their messages are shown as they are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


class LessonpipeError(Exception):
    """The root of every error that this package raises on purpose."""


class UserError(LessonpipeError, ValueError):
    """Something in the input or the params is wrong: what, where, and the cure."""


class PictureError(UserError):
    """A file that cannot be read as a picture, and the reason."""


class MissingError(UserError, FileNotFoundError):
    """A file or folder, `path`, that an earlier stage makes does not exist."""

    def __init__(self, message: str, path: str | Path) -> None:
        super().__init__(message)  # alone: of two arguments OSError would make an errno
        self.path = Path(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.path)


def one_of(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for an unknown name, which lists the known ones."""
    return UserError(f"no {kind} is called {name!r}; choose one of: {', '.join(sorted(known))}")
