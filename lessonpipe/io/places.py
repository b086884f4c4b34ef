"""Params without the places of the machine that they were used on."""

import re
from typing import Any

PLACES = ("folder", "start")  # the params that name a folder of the person's own
ABSOLUTE = re.compile(r"\A(?=~|/|[A-Za-z]:[\\/]|\\\\).*[\\/](?=.)")


def without_places(params: Any, name: str = "") -> Any:
    """Params with "…/last part" in the place of each absolute path that a person chose."""
    if isinstance(params, dict):
        return {key: without_places(value, key) for key, value in params.items()}
    if isinstance(params, list):
        return [without_places(value) for value in params]
    return ABSOLUTE.sub("…/", params) if name in PLACES and isinstance(params, str) else params
