"""The `lessonpipe` command: restore pictures, here or on a page, and look into models and recipes.

Exit codes: 0 done, 1 some pictures failed, 2 nothing could be done, 130 interrupted.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from lessonpipe import __version__, zoo
from lessonpipe.app.command import missing_model_cure, run_command
from lessonpipe.app.project.commands import (
    Overwrite,
    Phase,
    Recipe,
    StepsFile,
    flows,
    new,
    preview,
    show,
    stage,
)
from lessonpipe.app.project.stages import project_modules
from lessonpipe.app.restore import restore
from lessonpipe.cluster.session import code_folder
from lessonpipe.errors import PictureError, UserError
from lessonpipe.io.printable import printable, printable_lines


class GroupedCommands(TyperGroup):
    """Lists commands under the titles of their `rich_help_panel`, in plain text."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            title = str(getattr(command, "rich_help_panel", None) or "Commands")
            sections.setdefault(title, []).append((name, command.get_short_help_str(70)))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    name="lessonpipe",
    cls=GroupedCommands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command with `args`, by default the process's; returns the exit code."""
    return run_command(app, args, "lessonpipe")


def _print_version(wanted: bool) -> None:
    if wanted:
        import torch

        from lessonpipe.device import Worker

        print(f"lessonpipe {__version__}, torch {torch.__version__} on {Worker.current()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print it, torch's, and the device.",
        ),
    ] = False,
) -> None:
    """Restore pictures with a trained model, and look into what it learnt.

    \b
    lessonpipe page                        in a browser
    lessonpipe restore old/ -o new         a folder, with the package's model
    lessonpipe models                      which there are
    """


Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders or globs.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to.")]


app.command(rich_help_panel="Restore")(restore)
for command in (new, preview, show, stage):
    app.command(rich_help_panel="Train your own")(command)
app.command(
    rich_help_panel="Train your own",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(flows)


@app.command(rich_help_panel="Train your own")
def crappify(
    paths: Paths,
    out: Out,
    overwrite: Overwrite = False,
    recipe: Recipe = None,
    steps: StepsFile = None,
) -> None:
    """Spoil pictures by a recipe, to see what it does.

    The same pictures and recipe give the same files each time.

    \b
    lessonpipe crappify photos/ -o look --recipe old-photo
    """
    from lessonpipe.app.recipes import named_recipe
    from lessonpipe.data.photos import open_photo
    from lessonpipe.inference.output import save_image

    chosen = named_recipe(recipe, steps)

    def convert(source: Path, target: Path) -> None:
        name = target.relative_to(out).as_posix()
        save_image(chosen.degrade(open_photo(source), name), target)

    _convert(_targets(paths, out, overwrite=overwrite), convert, out, "degraded")


@app.command(rich_help_panel="Restore")
def page(
    host: Annotated[
        str, typer.Option(help="Another address than this machine's own needs a --password.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="By default the first free from 7860.")
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            prompt="Password",
            prompt_required=False,
            hide_input=True,
            help="For the user lessonpipe; without a value it is asked for.",
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Restore pictures in a browser.

    Drop them, compare before and after, download; build recipes by sliders. It runs on this
    machine, and no picture leaves it. Ctrl-C ends it.
    """
    try:
        from lessonpipe.app.page.server import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise UserError("the page needs an extra: pip install 'lessonpipe[page]'") from error
    training = None
    trains = Path("dvc.yaml").is_file() and (code_folder() / "flows").is_dir()
    with project_modules() if trains else nullcontext():
        if trains:
            from flows.client import PrefectTraining

            training = PrefectTraining()
        serve(host=host, port=port, password=password, browser=browser, training=training)


@app.command(rich_help_panel="Restore")
def models() -> None:
    """List the models at hand.

    What each undoes, how well, its size and its card: of those that the package carries, by the
    names that --model takes, and of those trained here.
    """
    from lessonpipe.app.models import model_lines
    from lessonpipe.app.registry import PRODUCTION, TRAINED

    trained = [folder for folder in (PRODUCTION, TRAINED) if (folder / "model.json").is_file()]
    found = [*map(zoo.find_model, zoo.names()), *trained]
    if not found:
        print("no model is at hand: the package carries none, and none was trained here")
    for model in found:
        print(printable_lines(model_lines(model)))


@app.command(rich_help_panel="Restore")
def export(
    model: Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="The model.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE|DIR", help="Where to.")],
    to: Annotated[
        Literal["onnx", "web"],
        typer.Option(help="One file; or a folder that any web server shows, and a phone."),
    ] = "onnx",
    weights: Annotated[
        Literal["float32", "float16", "int8"] | None,
        typer.Option(help="How weights are stored (onnx: float32, web: float16)."),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="TGZ", help="For web: onnxruntime-web, else fetched by npm."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model for programs without torch, or for browsers.

    An ONNX file takes pictures of any size, and is compared with torch before it is there. A web
    folder holds it, a page and what runs it: pictures never leave the browser, and once loaded it
    works without a network.

    \b
    lessonpipe export old-photo -o old-photo.onnx --weights float16
    lessonpipe export old-photo -o restorer --to web
    """
    from lessonpipe.app.export import export_onnx
    from lessonpipe.app.web.export import export_web

    if out.exists() and not overwrite:
        raise UserError(f"{out} would be replaced; add --overwrite")
    if to == "web" and out.exists() and not (out / "sw.js").is_file():
        raise UserError(f"{out} is no folder that --to web has written; choose another one")
    with missing_model_cure("fit_pixel", zoo.names()):
        if to == "web":
            made = export_web(model, out.resolve(), weights or "float16", runtime)
        else:
            made = export_onnx(model, out, weights or "float32")
    likeness = f"at most {made.largest:.2g} of 255 levels, PSNR {made.psnr:.0f} dB"
    print(f"{out}: a model of {made.bytes / 1e6:.1f} MB; against torch {likeness}")
    if to == "web":
        print(f"look at it: python -m http.server --directory {out}")


@app.command(rich_help_panel="Restore")
def lineage(
    path: Annotated[Path, typer.Argument(metavar="MODEL|PICTURE")],
) -> None:
    """Print what a model or picture was made of.

    Of a model folder or a restored picture: commit, params, data and measures.
    """
    import yaml

    from lessonpipe.inference.lineage import of_model
    from lessonpipe.inference.metadata import read_lineage

    model = zoo.find_model(path)
    found = of_model(model) if model.is_dir() else read_lineage(path)
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    print(printable_lines(text.rstrip()))


@app.command(rich_help_panel="Train your own")
def lr_find(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Such as pretrain_generator.")],
    phase: Phase = 1,
    end_lr: Annotated[
        float, typer.Option(min=1e-6, max=1e6, help="The highest rate, from 1e-7 on.")
    ] = 10.0,
) -> None:
    """Try learning rates for a training stage.

    Prints the suggested max_lr, and plots the losses into reports/lr_find. The stages of the
    lesson's other systems have some, too: digits, streets, numbers.
    """
    with project_modules():
        from tasks.pipeline.lr_find import find

        find(stage, phase, end_lr=end_lr)


@app.command(rich_help_panel="The lesson's other systems")
def count(
    prompt: Annotated[
        list[str], typer.Argument(metavar="WORDS", help='Such as "two hundred ninety".')
    ],
    numbers: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="For that many (default 5).")
    ] = None,
    words: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Or for that many words.")
    ] = None,
    model: Annotated[Path, typer.Option(metavar="FOLDER")] = Path("models/numbers"),
) -> None:
    """Go on counting with the model of lessons/numbers."""
    if numbers is not None and words is not None:
        raise typer.BadParameter("--numbers and --words exclude each other")
    with project_modules():
        from lessons.numbers.generate import count_on
    with missing_model_cure("lessons/dvc.yaml:numbers"):
        print(count_on(" ".join(prompt), model, numbers=numbers or 5, at_most=words))


def _targets(paths: Sequence[str], out: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Source and target of each picture. Raises `UserError` for none, and for existing targets."""
    from lessonpipe.inference.output import plan_outputs

    targets = plan_outputs(paths, out)
    if not targets:
        raise UserError(f"no pictures in {', '.join(paths)}")
    existing = [target for target in targets.values() if target.exists()]
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(
            f"{existing[0]}{more} would be replaced; choose another folder with -o, or add "
            "--overwrite"
        )
    return targets


def _convert(
    targets: dict[Path, Path], convert: Callable[[Path, Path], None], out: Path, verb: str
) -> None:
    """Convert every picture, then name those that failed; ends with the exit code."""
    from lessonpipe.io.progress import progress_bar

    failed: list[str] = []
    start = time.perf_counter()
    for source, target in progress_bar(targets.items(), verb, total=len(targets), unit="picture"):
        try:
            convert(source, target)
        except PictureError as error:
            failed.append(str(error))
        except UserError as error:
            failed.append(f"{source}: {error}")
        except OSError as error:
            if error.filename:
                raise
            raise UserError(f"{error.strerror or error}; look at the disk of {out}") from error
    done = len(targets) - len(failed)
    print(f"{done} {verb} into {out} in {time.perf_counter() - start:.1f} s")
    for reason in failed:
        print(f"not {verb}: {printable(reason)}", file=sys.stderr)
    raise typer.Exit(0 if not failed else 1 if done else 2)


if __name__ == "__main__":
    raise SystemExit(main())
