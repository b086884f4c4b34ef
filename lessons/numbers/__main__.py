"""Goes on counting: `python -m lessons.numbers "two hundred ninety"`, as `lessonpipe count`."""

import sys
from collections.abc import Sequence

from lessonpipe.app import cli


def main(args: Sequence[str] | None = None) -> int:
    """Print the words that a trained model continues with; returns the exit code."""
    return cli.main(["count", *(sys.argv[1:] if args is None else args)])


if __name__ == "__main__":
    raise SystemExit(main())
