"""What can go wrong that the person who runs it can mend."""

from collections.abc import Iterable


class LessonpipeError(Exception):
    """The root of every error that this package raises on purpose."""


class UserError(LessonpipeError, ValueError):
    """Something in the input or the parameters: what is wrong, where, and the cure."""


class PictureError(UserError):
    """A file that cannot be read as a picture, with the reason."""


class MissingError(UserError, FileNotFoundError):
    """Something that an earlier step should have made is not there."""


def one_of(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a wrong name, listing the right ones."""
    return UserError(f"no {kind} is called {name!r}; choose one of: {', '.join(sorted(known))}")
