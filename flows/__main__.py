"""Scheduled and watched runs of the pipeline.

    python -m flows run [STAGE ...]           bring stages up to date now
    python -m flows ui                        a page to start, watch and cancel runs
    python -m flows ui --cron "0 3 * * *"     and a run every night at three
    python -m flows ablations [QUESTION ...]  does it help? experiments, and docs/ablations.md
    python -m flows ablations NAME --again    the same experiments once more
    python -m flows recipes [NAME ...]        each recipe tried, and docs/recipes.md
    python -m flows promote [--rollback]      a new model into service, if it is better
    python -m flows release NAME              the trained model into the package, with its card
    python -m flows job [STAGE ...]           in a submitted Ray job: pull, run, push
    python -m flows notify URL                POST there when a run of the server's fails

Exit codes: 0 done, 1 a stage failed, 2 something the person can mend, 130 interrupted.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from flows import dvc, server
from lessonpipe.errors import LessonpipeError, UserError, redact_credentials
from lessonpipe.io.printable import printable
from tasks.pipeline import child_process
from tasks.pipeline.dvc_files import with_cure
from tasks.pipeline.prepare import prepare

SUMMARY, *_, EXIT_CODES = __doc__.strip().split("\n")
app = typer.Typer(
    help=SUMMARY,
    epilog=EXIT_CODES,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Stages = Annotated[
    list[str] | None, typer.Argument(metavar="STAGE", help="default: all of the restorer")
]
SideBySide = Annotated[int, typer.Option(min=1, metavar="N", help="how many at a time")]
Cron = Annotated[str | None, typer.Option(help='when to run everything: "0 3 * * *" is at three')]
Timezone = Annotated[str, typer.Option(help="of --cron, as in Europe/Paris")]
Notify = Annotated[
    str | None, typer.Option(metavar="URL", help="POST to this address when a run fails")
]


def main(args: Sequence[str] | None = None, name: str = "python -m flows") -> None:
    """Run a command, by default that of the command line, and exit with its code."""
    os.environ |= server.environment()  # before prefect is imported
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with with_cure():
            app(args, prog_name=name)
    except LessonpipeError as error:
        print(f"flows: {printable(error)}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UserError) else 1) from error


@app.command()
def run(stages: Stages = None, side_by_side: SideBySide = 1) -> None:
    """Bring stages up to date now.

    The run is on PREFECT_API_URL's server, else on that of this folder's page, else on a server of
    its own that ends with it.
    """
    _require_project()
    prepare()  # these fail before a server starts
    dvc.select_stages(dvc.read_stages(), stages or ())
    if not os.environ.get("PREFECT_API_URL"):
        if url := server.running():
            os.environ |= server.client_environment(url)
        else:
            # in a child process, so that the server outlives Prefect's last messages to it
            with server.serving() as url:
                _run_child(["run", "--side-by-side", str(side_by_side), *(stages or ())], url)
    from flows.restorer import restorer

    restorer(stages=stages or (), side_by_side=side_by_side)


@app.command()
def ui(
    cron: Cron = None,
    timezone: Timezone = "UTC",
    notify: Notify = None,
    host: Annotated[str, typer.Option(help="who may come in: this machine only")] = "127.0.0.1",
    port: int = 4200,
) -> None:
    """Open a page to start, watch and cancel runs, until ctrl-C."""
    _schedule(cron, timezone)  # fails before a server starts
    _require_project()
    if url := server.running():
        raise UserError(f"the page of this folder is open already: {url}")
    with server.serving(host, port, known=True) as url:
        print(f"flows: {url}/deployments (ctrl-C ends it)", flush=True)
        print(f"flows: lets a browser in, once for all: {server.entrance(url)}", flush=True)
        args = ["--timezone", timezone, *(["--cron", cron] if cron else [])]
        _run_child(["serve", *args, *(["--notify", notify] if notify else [])], url)


@app.command()
def serve(cron: Cron = None, timezone: Timezone = "UTC", notify: Notify = None) -> None:
    """Take runs from the server that PREFECT_API_URL names; trainings wait for each other."""
    _require_server()
    schedule = _schedule(cron, timezone)
    import prefect
    from prefect.deployments.runner import EntrypointType  # type: ignore[attr-defined]

    from flows.deployments import nightly, restore_folder, sweep, train
    from flows.notify import notify_of_failures
    from flows.restorer import restorer

    if notify:
        notify_of_failures(notify)
    deployments: list[Any] = [
        flow.to_deployment(  # a name that differs from those of `prefect deploy`
            f"{flow.name}-here",
            entrypoint_type=EntrypointType.MODULE_PATH,
            schedule=schedule if flow is restorer else None,
            concurrency_limit=None if flow is restorer else 1,
        )
        for flow in (restorer, train, nightly, sweep, restore_folder)
    ]
    for deployment in deployments:
        parameters = deployment._parameter_openapi_schema.properties
        if "stages" in parameters:  # the page offers them to choose from
            parameters["stages"]["items"]["enum"] = list(dvc.read_stages())
    prefect.serve(*deployments, limit=4, print_starting_message=False)


@app.command()
def ablations(
    questions: Annotated[
        list[str] | None, typer.Argument(metavar="QUESTION", help="default: all")
    ] = None,
    side_by_side: SideBySide = 1,
    again: Annotated[
        bool, typer.Option("--again", help="drop these answers, and run their experiments anew")
    ] = False,
) -> None:
    """Run the experiments that are missing, and write docs/ablations.md."""
    _require_repository()
    from flows.experiments.ablations import answer

    answer(questions or (), side_by_side, again)


@app.command(
    hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def choices() -> None:
    """Name the command that this one has become."""
    raise UserError("`choices` is now called `ablations`: python -m flows ablations")


@app.command()
def recipes(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="default: all")] = None,
    side_by_side: SideBySide = 1,
) -> None:
    """Run the recipes that have not been tried, and write docs/recipes.md."""
    _require_repository()
    from flows.experiments.recipe_gallery import show

    show(names or (), side_by_side)


@app.command()
def job(stages: Stages = None) -> None:
    """Run stages in a submitted Ray job: pull, run, push."""
    from flows.job import run

    run(stages or ())


@app.command()
def promote(
    rollback: Annotated[
        bool, typer.Option("--rollback", help="go back to the version before")
    ] = False,
) -> None:
    """Put the new model into service if it is better; that it is not is no error."""
    from lessonpipe.app import registry
    from lessonpipe.report.evaluation import EvaluationParams
    from lessonpipe.report.promotion import PromotionParams
    from tasks.pipeline.params import load

    if rollback:
        registry.rollback()
        return
    evaluation = load(EvaluationParams, "evaluate", partly=True)
    registry.promote(load(PromotionParams, "promote"), evaluation)


@app.command()
def release(
    name: Annotated[str, typer.Argument(metavar="NAME", help="as profiles/NAME.md")],
    profile: Annotated[str, typer.Option(help="that it was trained by, where not NAME")] = "",
) -> None:
    """Put the trained model into the package's model zoo, with its card."""
    _require_repository()
    from lessonpipe.app.release import release as put_into_zoo
    from lessonpipe.crappify.recipe import steps_of
    from lessonpipe.report.evaluation import EvaluationParams
    from tasks.pipeline import params, profiles

    ours, settings = params.read(), params.read(profiles.path(profile or name))
    recipe = settings.get("crappify", {}).get("recipe", ours["crappify"]["recipe"])
    steps = steps_of(recipe, ours.get("recipes", {}))
    evaluation = params.load(EvaluationParams, "evaluate", partly=True)
    put_into_zoo(name, profiles.PROFILES / f"{name}.md", steps, evaluation)


@app.command()
def notify(
    url: Annotated[str, typer.Argument(metavar="URL", help="such as https://hooks.example/x")],
) -> None:
    """POST to an address when a run of the server that PREFECT_API_URL names fails."""
    _require_server()
    from flows.notify import notify_of_failures

    notify_of_failures(url)
    server = os.environ["PREFECT_API_URL"]
    print(f"{server} posts to {redact_credentials(url)} when a run fails")


def _require_project() -> None:
    """Raise `UserError` in a folder without stages."""
    if not Path("dvc.yaml").is_file():
        raise UserError(
            "there is no dvc.yaml here; run it in the project's folder, or start a project: "
            "lessonpipe new FOLDER"
        )


def _require_repository() -> None:
    """Raise `UserError` outside of a clone of lessonpipe, which has experiments and profiles."""
    if not Path("profiles").is_dir():
        raise UserError("this needs a clone of lessonpipe's repository: it is for its own models")


def _require_server() -> None:
    """Make Prefect's home. Raises `UserError` when PREFECT_API_URL names no server."""
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError("set PREFECT_API_URL to a Prefect server, or start one: python -m flows ui")
    server.HOME.mkdir(parents=True, exist_ok=True)


def _run_child(args: list[str], url: str) -> NoReturn:
    """Run `python -m flows ARGS` on the server at `url`, and exit with its code."""
    env = os.environ | server.client_environment(url)
    process = child_process.start([sys.executable, "-m", "flows", *args], env=env, grace=10)
    try:
        raise typer.Exit(process.wait())
    finally:
        with _ignored_interrupts():
            child_process.stop(process, grace=10)


def _schedule(cron: str | None, timezone: str) -> Any:
    """Prefect's schedule, or None. Raises `UserError` for a wrong one."""
    if not cron:
        return None
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.schedules import Cron

    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValueError as error:
        raise UserError(
            f"{cron!r} in {timezone!r} is no schedule; "
            "minute, hour, day, month, weekday: --cron '0 3 * * *' --timezone Europe/Paris"
        ) from error
    return Cron(cron, timezone=timezone)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """A second ctrl-C does not break off the clean-up."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
