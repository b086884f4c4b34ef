"""Say in one line what the last evaluation found: `python -m lessonpipe.report`.

With `--markdown`, as the table that the README has.
"""

import sys
from pathlib import Path

from lessonpipe.io.atomic import read_json
from lessonpipe.report.markdown import figures
from lessonpipe.report.scores import headline

FIGURES = Path("reports/metrics.json")


def main(argv: list[str]) -> int:
    """Print the measures and where the page is."""
    if not FIGURES.is_file():
        print(f"{FIGURES} is not there; evaluate a model first", file=sys.stderr)
        return 2
    metrics = read_json(FIGURES)
    if "--markdown" in argv:
        print(figures(metrics))
        return 0
    print(headline(metrics))
    print(f"look at {FIGURES.with_name('index.html')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
