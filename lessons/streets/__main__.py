"""Segment a photo: `python -m lessons.streets PHOTO -o classes.jpg`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lessonpipe.app.command import missing_model_cure, run_command
from lessonpipe.data.photos import open_photo
from lessonpipe.data.pictures import stacked
from lessonpipe.inference.output import save_image
from lessons.streets.plots import legend, overlay
from lessons.streets.predict import MODEL, predict_mask

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(app, args, "python -m lessons.streets")


@app.command()
def segment(
    photo: Annotated[Path, typer.Argument(help="A picture file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to.")] = Path("classes.jpg"),
    model: Annotated[Path, typer.Option(help="Model folder.")] = MODEL,
) -> None:
    """Write the photo with the colours of its classes, and their legend."""
    image = open_photo(photo)
    with missing_model_cure("lessons/dvc.yaml:streets"):
        mask = predict_mask(image, model)
    colours = overlay(image, mask)
    save_image(stacked([colours, legend(colours.width)]), out)
    print(out)


if __name__ == "__main__":
    raise SystemExit(main())
