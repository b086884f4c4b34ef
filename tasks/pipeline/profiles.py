"""Say a profile, which is a part of params.yaml, in the words of an experiment.

    python -m tasks.pipeline.profiles short crappify.recipe=colour

prints `-S KEY=VALUE` for every number of profiles/short.yaml, and for what is given by itself;
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
    """Print the words; answers with the exit code."""
    try:
        print(shlex.join(word for given in argv for word in words(given)))
        return 0
    except UserError as error:
        print(f"profile: {error}", file=sys.stderr)
        return 2


def words(given: str) -> list[str]:
    """The words for the name of a profile, or for one `KEY=VALUE`."""
    if "=" in given:
        return ["-S", given]
    path = PROFILES / f"{given}.yaml"
    if not path.is_file():
        raise one_of("profile", given, (path.stem for path in PROFILES.glob("*.yaml")))
    settings = leaves(yaml.safe_load(path.read_text()))
    return [word for key, value in settings for word in ("-S", f"++{key}={spelt(value)}")]


def leaves(overlay: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its dotted key; a list is one."""
    for key, value in overlay.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def spelt(value: Any) -> str:
    """A value as `dvc exp run -S` reads it: like JSON, but keys are bare."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{spelt(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spelt, value)) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
