"""Errors that the person who runs the program can mend; their messages are shown as they are."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# credentials end at the last at sign: keys and passwords may hold slashes and at signs themselves
ADDRESS = re.compile(r"://([^\s'\"]+@)?([^\s'\",;)?]*)(\?[^\s'\",;)]+)?")


def redact_credentials(text: str) -> str:
    """Put `***` for the user, the password and the query of each address in a text."""
    return ADDRESS.sub(
        lambda part: f"://{'***@' if part[1] else ''}{part[2]}{'?***' if part[3] else ''}", text
    )


class LessonpipeError(Exception):
    """The root of every error that this package raises on purpose; it shows no credentials."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact_credentials(a) if isinstance(a, str) else a for a in args))


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
