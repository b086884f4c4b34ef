"""Run one stage: `python -m tasks STAGE`.

DVC, Prefect (through DVC) and Ray jobs all start stages by this command. Exit codes: 0 done, 2
something the person can mend, 130 interrupted.
"""

import errno
import importlib
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lessonpipe.errors import LessonpipeError, one_of
from lessonpipe.io.printable import printable
from lessonpipe.io.progress import print_done

STAGES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
# run on one node; the others distribute their own work
WHOLE_NODE = ("save_preds", "evaluate", "compare")
CURES = {  # of what the machine has no more of, or does not let us do
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "let files be larger (ulimit -f)",
    errno.ENOMEM: "free some memory or set LESSONPIPE_WORKERS to fewer",
    errno.EACCES: "check rights",
    errno.EPERM: "check rights",
    errno.EROFS: "check rights",
    errno.EIO: "check the disk",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main(argv: list[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    try:
        app(argv, prog_name="python -m tasks")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@app.command(help=__doc__.split("\n")[0], context_settings={"help_option_names": ["-h", "--help"]})
def run(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"one of: {', '.join(STAGES)}")],
    params: Annotated[Path, typer.Option(help="params file")] = Path("params.yaml"),
) -> None:
    """Run the stage, and exit with a code and a sentence where the person can mend something."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    for stream in (sys.stdout, sys.stderr):  # of any encoding: a photo's name may hold any letter
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        if stage not in STAGES:
            raise one_of("stage", stage, STAGES)
        _run(stage, params)
    except LessonpipeError as error:
        _fail(stage, str(error))
    except KeyboardInterrupt:
        print(f"{stage}: interrupted; run it again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
    except OSError as error:
        if error.errno not in CURES:
            raise
        cure = CURES[error.errno]
        _fail(stage, f"{error.strerror}: {error.filename or 'disk'}; {cure}, run again")
    except MemoryError:
        _fail(stage, f"no memory is left; {CURES[errno.ENOMEM]}, run again")


def _run(stage: str, params_file: Path) -> None:
    from lessonpipe import cluster
    from tasks.pipeline import launch, params
    from tasks.pipeline.child_process import exit_with_parent
    from tasks.pipeline.dvc_files import with_cure
    from tasks.pipeline.lock import stage_lock

    exit_with_parent()
    cluster.ship_code(*launch.CODE)
    module = importlib.import_module(f"tasks.{stage}")
    p = params.load_stage(module, stage, params_file)
    with stage_lock(stage), with_cure():
        start = time.perf_counter()
        if stage in WHOLE_NODE and cluster.address():
            inputs, outputs = launch.stage_files(stage)
            cluster.run_on_node(partial(module.run, p), inputs, outputs)
        else:
            module.run(p)
        print_done(stage, time.perf_counter() - start)


def _fail(stage: str, message: str) -> None:
    print(f"{stage}: {printable(message)}", file=sys.stderr)
    raise typer.Exit(2)


if __name__ == "__main__":
    raise SystemExit(main())
