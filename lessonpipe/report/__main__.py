"""Prints in one line what the last evaluation found: `python -m lessonpipe.report [METRICS.json]`.

With `--markdown`, prints the README's table.
"""

import sys
from pathlib import Path

from lessonpipe.io.atomic import read_json
from lessonpipe.report.summary import headline, summary_table

METRICS = Path("reports/metrics.json")


def main(argv: list[str]) -> int:
    """Print the metrics, and where the page is; returns the exit code."""
    path = next((Path(argument) for argument in argv if argument != "--markdown"), METRICS)
    if not path.is_file():
        print(f"{path} is not there; evaluate a model first", file=sys.stderr)
        return 2
    metrics = read_json(path)
    if "--markdown" in argv:
        print(summary_table(metrics).markdown())
        return 0
    print(headline(metrics))
    print(f"look at {path.with_name('index.html')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
