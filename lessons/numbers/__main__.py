"""Goes on counting: `python -m lessons.numbers "two hundred ninety"`.

`lessonpipe count` knocks here. Exit codes: 0 done, 2 something the person can mend.
"""

import argparse
import sys
from pathlib import Path

from lessonpipe.errors import LessonpipeError

MODEL = Path("models/numbers")


def main(argv: list[str] | None = None) -> int:
    """Print the words that a trained model goes on with."""
    parser = argparse.ArgumentParser(prog="lessonpipe count", description="Go on counting.")
    parser.add_argument("words", nargs="+", metavar="WORDS", help='such as "two hundred ninety"')
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--numbers", type=_some, default=5, help="go on for so many (default 5)")
    how.add_argument("--words", type=_some, dest="at_most", metavar="N", help="or so many words")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FOLDER")
    args = parser.parse_args(argv)
    try:
        from lessons.numbers.data import as_ids  # load torch: not before the words are right
        from lessons.numbers.generate import generate, load

        words = " ".join(args.words).lower().replace(",", " , ").replace("-", " ").split()
        as_ids(words)
        said = generate(load(args.model), words, numbers=args.numbers, at_most=args.at_most)
    except LessonpipeError as error:
        print(f"lessonpipe: {error}", file=sys.stderr)
        return 2
    print(" ".join(said).replace(" ,", ","))
    return 0


def _some(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10000")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
