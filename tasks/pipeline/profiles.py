"""Print a profile, which is a part of params.yaml, as the arguments of `dvc exp run`.

    python -m tasks.pipeline.profiles short crappify.recipe=colour

prints `-S KEY=VALUE` for every setting of profiles/short.yaml, and for the one given by itself;
`make run PROFILE=short RECIPE=colour` hands them to `dvc exp run`.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lessonpipe.errors import UserError, one_of

PROFILES = Path("profiles")


def main(argv: list[str]) -> int:
    """Print the arguments; returns the exit code."""
    try:
        settings = [setting for argument in argv for setting in overrides(argument)]
    except UserError as error:
        print(f"profile: {error}", file=sys.stderr)
        return 2
    print(shlex.join(word for setting in settings for word in ("-S", setting)))
    return 0


def overrides(argument: str) -> list[str]:
    """DVC's overrides for a profile's name, or for one `KEY=VALUE`.

    Raises `UserError`, listing the right names, for a wrong one.
    """
    if "=" in argument:
        return [argument]
    settings = _flatten(yaml.safe_load(path(argument).read_text("utf-8")))
    return [f"++{key}={hydra_value(value)}" for key, value in settings]


def path(name: str) -> Path:
    """The file of a profile. Raises `UserError`, listing the right names, for a wrong one."""
    file = PROFILES / f"{name}.yaml"
    if not file.is_file():
        raise one_of("profile", name, (file.stem for file in PROFILES.glob("*.yaml")))
    return file


def _flatten(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting with its dotted key; a list is one."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def hydra_value(value: Any) -> str:
    """A value in the syntax of `dvc exp run -S`: JSON whose keys have no quotes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{hydra_value(inner)}" for k, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
