"""Commands for projects of one's own: new, preview, stage, flows."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

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
    from lessonpipe.inference.encode import FORMATS
    from lessonpipe.inference.output import save_image

    if out.suffix.lower() not in FORMATS or out.is_dir():
        raise UserError(f"-o {out}: the name of a picture, such as preview.jpg or preview.png")
    if out.exists() and out != PREVIEW and not overwrite:
        raise UserError(f"{out} would be replaced; add --overwrite")
    with project_modules():
        sheet, reasons = preview_sheet(paths or (), recipe, steps, rows=rows, columns=columns)
    for reason in reasons:
        print(f"not shown: {printable(reason)}", file=sys.stderr)
    save_image(sheet, out)
    print(f"look at {out}")


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
