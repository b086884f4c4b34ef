"""Prints what the last evaluation found, and took: `python -m lessonpipe.report [METRICS.json]`.

With `--markdown`, prints the README's table.
"""

import sys
from pathlib import Path

from lessonpipe.io.atomic import read_json
from lessonpipe.report.high_resolution import describe
from lessonpipe.report.measured import LIVE, read_measured
from lessonpipe.report.summary import headline, summary_table

METRICS = Path("reports/metrics.json")
MEASURED = {METRICS: "evaluate", Path("reports/comparison/metrics.json"): "compare"}


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
    if path in MEASURED and (took := describe(read_measured(LIVE / MEASURED[path]))):
        print(took)
    print(f"look at {path.with_name('index.html')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
