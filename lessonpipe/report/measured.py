"""What a run took of its machine: kept beside the outputs of stages, whose bytes it would change.

Seconds and memory are others each time. DVC finds the same outputs for the same run, and a person
finds these in a folder of `live/`, which git and DVC leave aside.
"""

from pathlib import Path
from typing import Any

from lessonpipe.io.atomic import read_json, write_json

LIVE = Path("live")
FILE = "measured.json"


def keep_measured(folder: Path, figures: dict[str, Any]) -> None:
    """Write what was measured into a folder of `live/`, in the place of what was there."""
    write_json(folder / FILE, figures)


def read_measured(folder: Path) -> dict[str, Any]:
    """What the last run on this machine left there; empty where there was none."""
    try:
        found = read_json(folder / FILE)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
