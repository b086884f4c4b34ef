"""Name the pixels of a photo: python -m lessons.streets PHOTO -o out.jpg."""

import argparse
import sys
from pathlib import Path

from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import stacked
from lessonpipe.errors import LessonpipeError
from lessonpipe.inference.output import save_image
from lessons.streets.plots import legend, overlay
from lessons.streets.predict import MODEL, predict_mask


def main(argv: list[str] | None = None) -> int:
    """Write the photo with the colours of its classes and their legend; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lessons.streets", description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("classes.jpg"))
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder")
    args = parser.parse_args(argv)
    try:
        photo = open_photo(args.photo)
        drawn = overlay(photo, predict_mask(photo, args.model))
        save_image(stacked([drawn, legend(drawn.width)]), args.out)
    except LessonpipeError as error:
        print(f"streets: {error}", file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
