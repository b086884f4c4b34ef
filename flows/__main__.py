"""Scheduled and watched runs of the pipeline.

    python -m flows run [STAGE ...]           bring stages up to date now
    python -m flows ui                        a page to start, watch and cancel runs
    python -m flows ui --cron "0 3 * * *"     and a run every night at three
    python -m flows choices [QUESTION ...]    does it help? experiments, and docs/ablations.md
    python -m flows choices NAME --again      the same experiments once more
    python -m flows recipes [NAME ...]        each recipe tried, and docs/recipes.md
    python -m flows promote [--rollback]      a new model into service, if it is better
    python -m flows job [STAGE ...]           in a submitted Ray job: pull, run, push
    python -m flows notify URL                POST there when a run of the server's fails

Exit codes: 0 done, 1 a stage failed, 2 something the person can mend, 130 interrupted.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from flows import dvc, server
from lessonpipe.errors import LessonpipeError, UserError
from tasks.pipeline import child_process


def main(argv: list[str] | None = None) -> int:
    """Do what the words say; answers with the exit code."""
    args = _parser().parse_args(argv)
    os.environ |= server.environment()  # before prefect is imported
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return int(args.do(args))
    except LessonpipeError as error:
        print(f"flows: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    once = commands.add_parser("run", help="bring stages up to date now")
    once.add_argument("stages", nargs="*", metavar="STAGE", help="default: all of the restorer")
    once.add_argument("--side-by-side", type=int, default=1, metavar="N", help="stages at a time")
    once.set_defaults(do=run)

    schedule = argparse.ArgumentParser(add_help=False)
    schedule.add_argument("--cron", help='when to run everything: "0 3 * * *" is at three')
    schedule.add_argument("--timezone", default="UTC", help="of --cron, as in Europe/Paris (UTC)")
    schedule.add_argument("--notify", metavar="URL", help="POST to this address when a run fails")

    page = commands.add_parser("ui", parents=[schedule], help="start, watch and cancel runs")
    page.add_argument("--host", default="127.0.0.1", help="who may come in (this machine only)")
    page.add_argument("--port", type=int, default=4200, help="(4200)")
    page.set_defaults(do=ui)

    only = commands.add_parser(
        "serve", parents=[schedule], help="take runs from the server that PREFECT_API_URL names"
    )
    only.set_defaults(do=serve)

    several = argparse.ArgumentParser(add_help=False)
    several.add_argument(
        "--side-by-side", type=int, default=1, metavar="N", help="experiments at a time (1)"
    )

    questions = commands.add_parser("choices", parents=[several], help="answer by experiments")
    questions.add_argument("questions", nargs="*", metavar="QUESTION", help="default: all")
    questions.add_argument(
        "--again", action="store_true", help="drop these answers, and run their experiments anew"
    )
    questions.set_defaults(do=choices)

    tried = commands.add_parser("recipes", parents=[several], help="try each recipe")
    tried.add_argument("recipes", nargs="*", metavar="NAME", help="default: all")
    tried.set_defaults(do=recipes)

    batch = commands.add_parser("job", help="in a submitted Ray job: pull, run, push")
    batch.add_argument("stages", nargs="*", metavar="STAGE", help="default: all of the restorer")
    batch.set_defaults(do=job)

    hook = commands.add_parser("notify", help="POST to an address when a run of the server's fails")
    hook.add_argument("url", metavar="URL", help="such as https://hooks.example/x")
    hook.set_defaults(do=notify)

    gate = commands.add_parser("promote", help="put the new model into service if it is better")
    gate.add_argument("--rollback", action="store_true", help="go back to the one before")
    gate.set_defaults(do=promote)
    return parser


def choices(args: argparse.Namespace) -> int:
    """Run the experiments that are missing, and write docs/ablations.md."""
    from flows.experiments.ablations import answer

    return answer(args.questions, args.side_by_side, args.again)


def recipes(args: argparse.Namespace) -> int:
    """Run the recipes that have not been tried, and write docs/recipes.md."""
    from flows.experiments.recipe_gallery import show

    return show(args.recipes, args.side_by_side)


def job(args: argparse.Namespace) -> int:
    """Run stages between a pull and a push."""
    from flows.job import run

    run(args.stages)
    return 0


def promote(args: argparse.Namespace) -> int:
    """Judge the new model, or go back; not better is no error."""
    from lessonpipe.app import registry
    from lessonpipe.report.promotion import PromotionParams
    from tasks import evaluate
    from tasks.pipeline.params import load

    if args.rollback:
        registry.rollback()
    else:
        registry.promote(load(PromotionParams, "promote"), load(evaluate.Params, "evaluate"))
    return 0


def notify(args: argparse.Namespace) -> int:
    """Let the server that PREFECT_API_URL names tell of runs that fail."""
    _named_server()
    from flows.notify import when_a_run_fails

    when_a_run_fails(args.url)
    print(f"{os.environ['PREFECT_API_URL']} posts to {args.url} when a run fails")
    return 0


def run(args: argparse.Namespace) -> int:
    """One run, on PREFECT_API_URL's server, else the page's in this folder, else a short one."""
    dvc.select(dvc.read(), args.stages)  # complain at once
    if not os.environ.get("PREFECT_API_URL"):
        if url := server.running():
            os.environ["PREFECT_API_URL"] = f"{url}/api"
        else:
            with server.serving() as url:  # another process, whose last words it still takes
                return _leashed(
                    ["run", "--side-by-side", str(args.side_by_side), *args.stages], url
                )
    from flows.restorer import restorer

    restorer(stages=args.stages, side_by_side=args.side_by_side)
    return 0


def ui(args: argparse.Namespace) -> int:
    """A server and a process that takes its runs, until ctrl-C."""
    _schedule(args)  # complain at once
    if url := server.running():
        raise UserError(f"the page of this folder is open already: {url}")
    with server.serving(args.host, args.port, known=True) as url:
        print(f"flows: {url}/deployments (ctrl-C ends it)", flush=True)
        words = ["--timezone", args.timezone, *(["--cron", args.cron] if args.cron else [])]
        words += ["--notify", args.notify] if args.notify else []
        return _leashed(["serve", *words], url)


def serve(args: argparse.Namespace) -> int:
    """Take runs from the server that PREFECT_API_URL names; trainings wait for each other."""
    _named_server()
    schedule = _schedule(args)
    import prefect
    from prefect.deployments.runner import EntrypointType  # type: ignore[attr-defined]

    from flows import notify
    from flows.deployments import nightly, restore_folder, sweep
    from flows.restorer import restorer

    if args.notify:
        notify.when_a_run_fails(args.notify)
    served: list[Any] = [
        flow.to_deployment(  # a name that `prefect deploy` gives to none
            f"{flow.name}-here",
            entrypoint_type=EntrypointType.MODULE_PATH,
            schedule=schedule if flow is restorer else None,
            concurrency_limit=None if flow is restorer else 1,
        )
        for flow in (restorer, nightly, sweep, restore_folder)
    ]
    for deployment in served:
        asked = deployment._parameter_openapi_schema.properties
        if "stages" in asked:  # the page offers them to choose from
            asked["stages"]["items"]["enum"] = list(dvc.read())
    prefect.serve(*served, limit=4, print_starting_message=False)
    return 0


def _named_server() -> None:
    """Raise `UserError` when PREFECT_API_URL names none; else make Prefect's home."""
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("set PREFECT_API_URL to a Prefect server, or start one: python -m flows ui")
    server.HOME.mkdir(parents=True, exist_ok=True)


def _leashed(words: list[str], url: str) -> int:
    """These words as a process of their own, on the server at `url`, until it ends."""
    env = os.environ | {"PREFECT_API_URL": f"{url}/api"}
    process = child_process.start([sys.executable, "-m", "flows", *words], env=env, grace=10)
    try:
        return process.wait()
    finally:
        with _undisturbed():
            child_process.stop(process, grace=10)


def _schedule(args: argparse.Namespace) -> Any:
    """Prefect's schedule, or None. Raises `UserError` for words that are none."""
    if not args.cron:
        return None
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.schedules import Cron

    try:
        CronSchedule(cron=args.cron, timezone=args.timezone)
    except ValueError as error:
        raise UserError(
            f"{args.cron!r} in {args.timezone!r} is no schedule; "
            "minute, hour, day, month, weekday: --cron '0 3 * * *' --timezone Europe/Paris"
        ) from error
    return Cron(args.cron, timezone=args.timezone)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second ctrl-C does not break off the cleaning up."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    raise SystemExit(main())
