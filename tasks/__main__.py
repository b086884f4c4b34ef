"""The one door to every stage: `python -m tasks NAME`, and `--lr-find` before it is trained.

DVC, Prefect (through DVC) and Ray jobs all come in here. Exit codes: 0 done, 2 something the
person can mend, 130 interrupted.
"""

import argparse
import errno
import importlib
import os
import sys
import time
from functools import partial
from pathlib import Path

STAGES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
CARRIED = ("save_preds", "evaluate")  # go to a node as a whole; the others send what they need


def main(argv: list[str] | None = None) -> int:
    """Run one stage; answers with the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tasks", description=__doc__.split("\n")[0])
    parser.add_argument("stage", choices=STAGES, help="the stage to run")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file")
    parser.add_argument(
        "--lr-find",
        type=int,
        nargs="?",
        const=1,
        metavar="PHASE",
        help="train nothing: try learning rates as this phase of it would (default: the first)",
    )
    args = parser.parse_args(argv)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    from lessonpipe import cluster
    from lessonpipe.errors import LessonpipeError
    from tasks.pipeline import launch, lock, params
    from tasks.pipeline.dvc_files import with_cure

    try:
        lock.exit_with_parent()
        if args.lr_find is not None:
            from tasks.pipeline.lr_find import find

            with with_cure():
                find(args.stage, args.lr_find, args.params)
            return 0
        module = importlib.import_module(f"tasks.{args.stage}")
        p = params.load(module.Params, getattr(module, "SECTION", args.stage), args.params)
        with lock.stage_lock(args.stage), with_cure():
            start = time.perf_counter()
            if args.stage in CARRIED and cluster.address():
                inputs, outputs = launch.stage_files(args.stage)
                cluster.run_on_node(partial(module.run, p), inputs, outputs)
            else:
                module.run(p)
            print(f"{args.stage}: done in {time.perf_counter() - start:.0f} s")
        return 0
    except LessonpipeError as error:
        return _tell(args.stage, str(error))
    except KeyboardInterrupt:
        print(f"{args.stage}: interrupted; run it again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        cure = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check rights"
        return _tell(args.stage, f"{error.strerror}: {error.filename or 'disk'}; {cure}, run again")


def _tell(stage: str, message: str) -> int:
    print(f"{stage}: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
