"""Running a typer app so that it ends in a sentence and an exit code, never in a traceback."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from lessonpipe.errors import LessonpipeError, MissingError, UserError
from lessonpipe.io.printable import printable

INTERRUPTED = 130


def run_command(app: typer.Typer, args: Sequence[str] | None, name: str) -> int:
    """Run the command called `name` with `args`, by default the process's; returns the exit code.

    0 done, 1 some pictures failed, 2 something that the person can mend, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):  # names that are not UTF-8 are printed all the same
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args, prog_name=name)
        return 0
    except SystemExit as end:  # how typer ends, whatever the code
        if end.code != INTERRUPTED:
            return int(end.code or 0)
        message, code = "interrupted; files that were finished are kept", INTERRUPTED
    except MissingError as error:
        target = _stage_that_makes(error.path)
        message, code = f"{error}{f'; run `dvc repro {target}` first' if target else ''}", 2
    except LessonpipeError as error:
        message, code = str(error), 2
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        message, code = f"{error.strerror or error}{where}", 2
    print(f"{name.rpartition('.')[2]}: {printable(message)}", file=sys.stderr)
    return code


@contextmanager
def missing_model_cure(trained_by: str, others: Sequence[str] = ()) -> Iterator[None]:
    """Make a `MissingError` in the block say how to get a model: train one, or name another.

    The stage to train it is the one that makes the missing folder, else `trained_by`; `others` are
    names that may be given instead.
    """
    try:
        yield
    except MissingError as error:
        target = _stage_that_makes(error.path) or trained_by
        names = f" ({', '.join(others)})" if others else ""
        raise UserError(
            f"{error}; run `dvc repro {target}` first, or name another with --model{names}"
        ) from error


def _stage_that_makes(path: Path) -> str | None:
    try:
        from tasks.pipeline.dvc_files import stage_that_makes
    except ModuleNotFoundError:  # an installed package, outside of the project's folder
        return None
    return stage_that_makes(path)
