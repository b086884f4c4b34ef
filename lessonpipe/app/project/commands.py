"""Commands for projects of one's own: new, preview, show, stage, flows."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from lessonpipe.app.project.stages import check_version, project_modules
from lessonpipe.errors import UserError
from lessonpipe.io.printable import printable

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A recipe of ./params.yaml, by default the one chosen there; or a YAML file of steps.",
    ),
]
StepsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Python that defines steps which the recipe names, and is run: a NAME.py for steps "
        "such as NAME.rain. Of a project it is my_steps.py, beside params.yaml.",
    ),
]
Phase = Annotated[
    int, typer.Option(help="Of the stage's phases, or of a sweep's networks, counted from 1.")
]
Shown = Literal[
    "crappify", "pairs", "augmented", "pixel", "feature", "critic", "gan",
    "digits", "streets", "bedrooms", "numbers",
]  # fmt: skip
PREVIEW = Path("preview.jpg")  # replaced each time


def new(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new folder.")],
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Good photos (default: FOLDER/photos).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="coffee, old-photo, text or colour.")
    ] = None,
) -> None:
    """Start a project of one's own.

    Params, stages, a recipe and a step of damage to change: what it takes to train a restorer with
    the installed package, in a git repository.

    \b
    lessonpipe new my-restorer --photos photos/
    """
    from lessonpipe.app.project.new import new_project

    note = new_project(folder, photos, recipe)
    if note:
        print(f"new: {note}", file=sys.stderr)
    if photos is None:
        print(f"put good photos into {folder / 'photos'}, then:")
    if folder.absolute() != Path.cwd():
        path = str(folder)
        print(f"cd {shlex.quote(path if path[0] not in '-~' else f'./{path}')}")
    print("lessonpipe preview   # what the recipe does to them\ndvc repro")


def preview(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="By default the project's photos.")
    ] = None,
    recipe: Recipe = None,
    steps: StepsFile = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to.")] = PREVIEW,
    rows: Annotated[int, typer.Option(min=1, max=50, help="How many photos.")] = 4,
    columns: Annotated[int, typer.Option(min=1, max=20, help="How many tiles of each.")] = 3,
    overwrite: Overwrite = False,
) -> None:
    """Show what a recipe does to photos.

    Tiles before and after, as training gets them (some undamaged, if params.yaml says so), in one
    picture.

    \b
    lessonpipe preview photos/ --recipe old-photo
    """
    from lessonpipe.app.project.preview import preview_sheet
    from lessonpipe.inference.output import save_image

    _check_picture(out, PREVIEW, overwrite=overwrite)
    with project_modules():
        sheet, reasons = preview_sheet(paths or (), recipe, steps, rows=rows, columns=columns)
    for reason in reasons:
        print(f"not shown: {printable(reason)}", file=sys.stderr)
    save_image(sheet, out)
    print(f"look at {out}")


def show(
    what: Annotated[
        Shown, typer.Argument(metavar="WHAT", help=f"One of: {', '.join(get_args(Shown))}.")
    ],
    phase: Phase = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Default: reports/show/WHAT.png."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw the first batch as training will see it.

    By the stages' own loaders, with the sizes, seeds and augmentation of params.yaml. crappify: the
    files that were made; pairs: those that are measured; augmented, pixel, feature, gan: those that
    train; critic: generated pictures and photos with labels. The rest are the other systems.

    \b
    lessonpipe show augmented
    lessonpipe show pixel --phase 3 -o batch.png
    """
    from lessonpipe.app.project.show import batch_sheet
    from lessonpipe.inference.output import save_image

    usual = Path(f"reports/show/{what}.png")
    out = out or usual
    _check_picture(out, usual, overwrite=overwrite)
    with project_modules():
        sheet = batch_sheet(what, phase)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_image(sheet, out)
    print(f"look at {out}")


def _check_picture(out: Path, usual: Path, *, overwrite: bool) -> None:
    """Raise `UserError` for what is no picture's name, or another file that would be replaced."""
    from lessonpipe.inference.encode import FORMATS

    if out.suffix.lower() not in FORMATS or out.is_dir():
        raise UserError(
            f"-o {out}: the name of a picture, such as {usual.stem}.jpg or {usual.stem}.png"
        )
    if out.exists() and out != usual and not overwrite:
        raise UserError(f"{out} would be replaced; add --overwrite")


def stage(
    name: Annotated[str, typer.Argument(metavar="STAGE", help="Its name in dvc.yaml.")],
) -> None:
    """Run one stage of a project, as its dvc.yaml does."""
    with project_modules():
        from tasks.__main__ import main as run_stage

        check_version()
        raise typer.Exit(run_stage([name]))


def flows(words: typer.Context) -> None:
    """Schedule and watch a project's runs: flows ui, flows run.

    A Prefect page to start, watch and cancel runs, and to train from the page's tab Damage.
    """
    with project_modules():
        if find_spec("prefect") is None:  # the server is a process of its own
            raise ModuleNotFoundError(name="prefect")
        from flows.__main__ import main as run_flows

        run_flows(words.args, "lessonpipe flows")
