"""Typed settings that refuse what they do not know, and facts of the machine."""

import os

from pydantic import BaseModel, ConfigDict

from lessonpipe.errors import UserError


class StrictModel(BaseModel):
    """Settings without unknown keys, without infinities, never changed once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def number_from_environment(name: str, default: float) -> float:
    """The environment variable `name` as a number of at least 0, or `default` when it is unset.

    Raises `UserError` for anything else.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e9:
        raise UserError(f"{name}={text!r}: it must be a number of at least 0")
    return value
