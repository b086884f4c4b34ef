"""`lessonpipe restore`: pictures in, restored pictures out."""

import json
import re
import sys
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lessonpipe import zoo
from lessonpipe.app.command import missing_model_cure
from lessonpipe.errors import UserError
from lessonpipe.io.printable import printable

if TYPE_CHECKING:
    from lessonpipe.inference.batch import Batch, Outcome, Task
    from lessonpipe.inference.decoder import Decoder
    from lessonpipe.inference.restorer import Restorer

Formats = Literal["jpg", "png", "webp", "avif", "tiff"]
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF", "tiff": "TIFF"}


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0
    if not 0.05 <= scale <= 16:
        raise typer.BadParameter(f"{text!r} is not a number from 0.05 to 16")
    return scale


def _size(text: str) -> tuple[int, int]:
    from lessonpipe.data.photos import MAX_PIXELS

    match = re.fullmatch(r"0*([1-9]\d*)[x×]0*([1-9]\d*)", text.lower(), re.ASCII)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 1280x1600")
    width, height = int(match[1]), int(match[2])
    if width * height > MAX_PIXELS:
        raise typer.BadParameter(f"{text} is more than {MAX_PIXELS // 1_000_000} million pixels")
    return width, height


def _memory(text: str) -> int:
    from lessonpipe.inference.memory import parse_size

    try:
        return parse_size(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from error


def _option(*names: str, **how: Any) -> Any:
    return typer.Option(*names, **how)


def restore(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Files, folders or globs; - for stdin.")
    ],
    out: Annotated[
        Path, _option("--out", "-o", metavar="DIR|FILE", help="Where to; - for stdout.")
    ],
    overwrite: Annotated[bool, _option("--overwrite", help="Replace files that exist.")] = False,
    skip_existing: Annotated[
        bool, _option("--skip-existing", help="Leave files that exist, whoever made them.")
    ] = False,
    again: Annotated[
        bool, _option("--again", help="Restore what lessonpipe restored once more.")
    ] = False,
    model: Annotated[
        Path | None,
        _option(
            metavar="NAME|FOLDER",
            help="A model of the package (`lessonpipe models` lists them) or a model folder "
            "(default: models/in-service or models/fit_pixel if it exists, else old-photo, or "
            "enlarge for a --scale above 1).",
        ),
    ] = None,
    strength: Annotated[
        float, _option(min=0, max=1, help="1: the model's result; 0: the enlarged original.")
    ] = 1.0,
    tone: Annotated[
        float,
        _option(
            min=0,
            max=1,
            help="How much of the change of tones and colours to keep; 0: repaired, and as faded "
            "as it was.",
        ),
    ] = 1.0,
    scale: Annotated[
        float | None, _option(parser=_scale, metavar="SCALE", help="Enlarge by this (default 1).")
    ] = None,
    size: Annotated[Any, _option(parser=_size, metavar="WxH", help="Or to so many pixels.")] = None,
    format: Annotated[
        Formats | None, _option("--format", help="Write this format (default: as it was).")
    ] = None,
    quality: Annotated[
        int | None, _option(min=1, max=100, help="Of JPEG and WebP (95), AVIF (90).")
    ] = None,
    suffix: Annotated[
        str, _option(metavar="TEXT", help="Put into names before the dot, such as -restored.")
    ] = "",
    pages: Annotated[
        Literal["all", "first"], _option(help="Of files of many pages, where a TIFF is written.")
    ] = "all",
    recursive: Annotated[bool, _option(help="With the folders in folders.")] = True,
    strip: Annotated[bool, _option("--strip", help="Write no metadata but the profile.")] = False,
    no_gps: Annotated[bool, _option("--no-gps", help="Do not write where it was taken.")] = False,
    no_note: Annotated[
        bool, _option("--no-note", help="Do not write into pictures which model made them.")
    ] = False,
    keep_print_size: Annotated[
        bool,
        _option("--keep-print-size", help="Enlarge the dpi with the pixels (else as it was)."),
    ] = False,
    accept_truncated: Annotated[
        bool, _option("--accept-truncated", help="Restore what is there of cut-off files.")
    ] = False,
    compare: Annotated[
        bool, _option("--compare", help="Write NAME-compare.jpg, before and after, beside each.")
    ] = False,
    memory: Annotated[
        int | None,
        _option(parser=_memory, metavar="SIZE", help="Take at most this, such as 2GB."),
    ] = None,
    jobs: Annotated[int, _option(min=1, max=64, help="Pictures at a time.")] = 1,
    dry_run: Annotated[bool, _option("--dry-run", help="Say what would be written.")] = False,
    json_lines: Annotated[
        bool, _option("--json", help="Print a JSON object for each picture.")
    ] = False,
    quiet: Annotated[bool, _option("--quiet", "-q", help="Print errors alone.")] = False,
) -> None:
    """Restore pictures with a trained model.

    Each goes into DIR under its own name, sub-folders kept, with its metadata, its colour profile
    and the model's lineage. One that fails is named in the end, and the others go on. Run the same
    command again after an interruption: what is done is skipped.

    \b
    lessonpipe restore old/ -o new                     a folder, with the folders in it
    lessonpipe restore old/ -o new --model lesson      with another model
    lessonpipe restore a.tif -o b.png --scale 2        one picture, to twice its size
    """
    from lessonpipe.inference.output import is_picture_name, plan_outputs

    if scale is not None and size is not None:
        raise typer.BadParameter("--scale and --size exclude each other")
    as_format = FORMATS[format] if format else None
    say = _Sayer(quiet=quiet, json_lines=json_lines, stdout_taken=str(out) == "-")
    piped = "-" in paths or str(out) == "-"
    single = not piped and is_picture_name(out) and not out.is_dir()
    targets: dict[Path, Path] = {}
    if not piped:
        say.left_aside(paths, out)
        targets = plan_outputs(
            paths,
            out.parent if single else out,
            format=as_format,
            name_suffix=suffix,
            recursive=recursive,
        )
        if not targets:
            raise UserError(f"no pictures in {', '.join(paths)}")
        if single:
            if len(targets) > 1:
                raise UserError(f"{len(targets)} pictures do not go into the one file {out}")
            targets = dict.fromkeys(targets, out)
    from lessonpipe.inference.decoder import Decoder

    with Decoder() as decoder:  # it comes up while torch is loaded
        from lessonpipe.app.registry import default_model
        from lessonpipe.inference.batch import Batch, RestoreOptions
        from lessonpipe.inference.lineage import of_model
        from lessonpipe.inference.restorer import Restorer  # not before paths are right

        options = RestoreOptions(
            scale=scale or 1.0,
            size=size,
            format=as_format,
            quality=quality,
            pages=pages,
            strip=strip,
            gps=not no_gps,
            print_size=keep_print_size,
            truncated=accept_truncated,
            again=again,
            compare=compare,
        )
        enlarges = size is not None or (scale or 1) > 1
        model = zoo.find_model(model) if model else default_model(enlarges=enlarges)
        with missing_model_cure("fit_pixel", zoo.names()):
            lineage = of_model(model)
            restorer = Restorer(model, strength=strength, tone=tone, memory=memory)
        batch = Batch(
            targets,
            out.parent if single else out,
            options,
            lineage,
            note=not no_note,
            strength=strength,
            tone=tone,
            overwrite=overwrite,
            skip_existing=skip_existing,
        )
        if piped:
            _pipe(restorer, decoder, paths, out, batch, say)
            return
        todo, skipped = batch.plan()
        if dry_run:
            for task in todo:
                print(printable(f"{task.source} -> {task.target}"))
            print(f"{len(todo)} would be restored, {len(skipped)} skipped")
            return
        say.line(f"{len(todo)} pictures on {restorer.worker}{_undoes(restorer)}")
        _run(batch, restorer, decoder, todo, skipped, jobs, say)


def _undoes(restorer: "Restorer") -> str:
    from lessonpipe.inference.restorer import target_of

    undoes, target = restorer.about.get("undoes"), target_of(restorer.about)
    told = f"; undoes: {', '.join(undoes)}" if undoes else ""
    return told + (f"; makes: {target}" if target else "")


class _Sayer:
    """Prints for a person or for a program; never where pictures are printed."""

    def __init__(self, *, quiet: bool, json_lines: bool, stdout_taken: bool) -> None:
        self.quiet, self.json_lines = quiet, json_lines
        self.stream = sys.stderr if stdout_taken else sys.stdout

    def line(self, text: str) -> None:
        """A line for people."""
        if not self.quiet and not self.json_lines:
            print(printable(text), file=self.stream, flush=True)

    def left_aside(self, paths: list[str], out: Path) -> None:
        """How many files of which kinds the folders hold that are no pictures."""
        from lessonpipe.data.folders import format_left_aside, kind_of, list_folder

        folders = [path for path in map(Path, paths) if path.is_dir()]
        others = {file for folder in folders for file in list_folder(folder).others}
        counts = Counter(kind_of(file) for file in others if not file.is_relative_to(out))
        if counts:
            self.line(f"left aside: {format_left_aside(counts)}")

    def outcome(self, outcome: "Outcome") -> None:
        """What became of a picture: as JSON, or its notes."""
        if self.json_lines:
            print(json.dumps(asdict(outcome)), file=self.stream, flush=True)
        else:
            for note in outcome.notes:
                self.line(f"{outcome.source}: {note}")


def _run(
    batch: "Batch",
    restorer: "Restorer",
    decoder: "Decoder",
    todo: list["Task"],
    skipped: list["Outcome"],
    jobs: int,
    say: _Sayer,
) -> None:
    """Restore, show progress, name what failed; ends with the exit code."""
    from lessonpipe.io.progress import progress_bar

    start = time.perf_counter()
    outcomes = list(skipped)
    for outcome in skipped:
        say.outcome(outcome)
    shown = not (say.quiet or say.json_lines)
    bar = progress_bar((), "restored", total=len(todo), unit="picture") if shown else None
    with bar or nullcontext():

        def advance(pictures: float) -> None:
            if bar is not None:
                bar.n = round(bar.n + pictures, 3)  # tqdm prints all digits of a sum
                bar.update(0)

        for outcome in batch.run(restorer, todo, decoder=decoder, jobs=jobs, progress=advance):
            outcomes.append(outcome)
            say.outcome(outcome)
    count = Counter(outcome.status for outcome in outcomes)
    text = f"{count['restored']} restored into {batch.out} in {time.perf_counter() - start:.1f} s"
    if count["skipped"]:
        text += f", {count['skipped']} were there already"
    say.line(text)
    for outcome in outcomes:
        if outcome.status == "left":
            say.line(f"left: {outcome.error}")
        elif outcome.status == "failed" and not say.json_lines:
            print(f"not restored: {printable(outcome.error)}", file=sys.stderr)
    failed = count["failed"]
    raise typer.Exit(0 if not failed else 1 if len(outcomes) > failed else 2)


def _pipe(
    restorer: "Restorer",
    decoder: "Decoder",
    paths: list[str],
    out: Path,
    batch: "Batch",
    say: _Sayer,
) -> None:
    """One picture from standard input or a file, to standard output or a file."""
    import io
    import tempfile

    from lessonpipe.inference.batch import restore_file
    from lessonpipe.inference.output import format_of_bytes

    if len(paths) != 1:
        raise typer.BadParameter("- is for one picture")
    content = sys.stdin.buffer.read() if paths[0] == "-" else Path(paths[0]).read_bytes()
    source = io.BytesIO(content)
    with tempfile.TemporaryDirectory() as folder:
        to_stdout = str(out) == "-"
        target = Path(folder) / f"out{format_of_bytes(content)}" if to_stdout else out
        if not to_stdout and out.exists() and not batch.overwrite:
            raise UserError(f"{out} would be replaced; add --overwrite")
        lineage = batch.lineage if batch.note else None
        notes = restore_file(
            restorer, source, target, batch.options, lineage=lineage, decoder=decoder
        )
        for note in notes:
            say.line(f"{paths[0]}: {note}")
        if to_stdout:
            sys.stdout.buffer.write(target.read_bytes())
            sys.stdout.buffer.flush()
