"""The flow: every stage of dvc.yaml as a Prefect task, in DVC's order, through DVC's cache.

    python -m flows run               once, now
    python -m flows ui                a page to start, watch and schedule runs

A stage that did not have to run ends as "Cached". Keeps no cache and no graph of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from filelock import FileLock, Timeout
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Cancelled, Completed
from pydantic import Field

from flows import dvc as dvc
from flows.artifacts import Progress, publish
from tasks.pipeline.lock import STATE_DIR

TRIES_AFTER_CRASH = 1
WAITS: list[float] = [2, 5, 10, 15, 15, 15]  # seconds before each further try


def worth_another_try(_: Any, run: Any, state: State[Any]) -> bool:
    """A lock clash passes, a crash may; what a person has to mend, or has stopped, does not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, dvc.CrashError):
        return int(run.run_count) <= TRIES_AFTER_CRASH
    return isinstance(error, dvc.BusyError)


@task(
    task_run_name="{stage.name}",
    retries=len(WAITS),
    retry_delay_seconds=WAITS,
    retry_condition_fn=worth_another_try,
    cache_policy=NO_CACHE,
)
def bring_up_to_date(stage: dvc.Stage, runs: dvc.StageRunner) -> State[None]:
    """Run one stage if DVC finds it changed. Raises `StageError`."""
    log = get_run_logger()
    progress = Progress(stage.name)

    def tell(line: str) -> None:
        log.info(line)
        progress.hear(line)

    try:
        unchanged = runs.run(stage.target, tell)
    except dvc.StoppedError as error:
        return Cancelled(message=str(error))
    progress.done()
    try:
        publish(stage)
    except (OSError, ValueError) as error:
        log.warning("%s: its pictures and measures are not shown: %s", stage.name, error)
    return Completed(name="Cached", message=unchanged) if unchanged else Completed()


@contextmanager
def alone_here(log: Any) -> Iterator[None]:
    """Two runs never work in one folder at once: the second waits for its turn."""
    folder = STATE_DIR / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another run is at work in this folder; waiting for its end")
        lock.acquire(poll_interval=0.5)
    try:
        yield
    finally:
        lock.release()


@flow(name="restorer")
def restorer(stages: Sequence[str] = (), side_by_side: Annotated[int, Field(ge=1)] = 1) -> None:
    """Bring the stages up to date; what is done already shows as *Cached*.

    Args:
        stages: Which to bring up to date, with all they depend on; none named: all of the restorer.
        side_by_side: How many stages may run at the same time; 1 suits one processor or GPU.
    """
    todo = dvc.select(dvc.read(), stages)
    runs = dvc.StageRunner()
    try:
        with alone_here(get_run_logger()):
            done, failed = in_order(todo, runs, side_by_side)
    except BaseException:  # cancelled, interrupted or terminated: leave no process behind
        runs.stop()
        raise
    if failed:
        left = [name for name in todo if name not in done and name not in failed]
        rest = f" (not run because of it: {', '.join(left)})" if left else ""
        words = "; ".join(str(error) for error in failed.values())
        raise dvc.StageError(next(iter(failed)), words + rest)


Futures = dict[str, PrefectFuture[Any]]


def in_order(
    todo: dict[str, dvc.Stage], runs: dvc.StageRunner, side_by_side: int
) -> tuple[Futures, dict[str, BaseException]]:
    """Start each stage when those it needs are done; answers what was done and what failed.

    After a failure, the stages that do not depend on it still run.
    """
    order = dvc.topological_sorter(todo)
    order.prepare()
    ready: list[str] = []
    running: Futures = {}
    done: Futures = {}
    failed: dict[str, BaseException] = {}
    while True:
        ready += order.get_ready()
        while ready and len(running) < side_by_side:
            stage = todo[ready.pop(0)]
            needs = [done[name] for name in stage.needs]  # draws the graph in Prefect's page
            running[stage.name] = bring_up_to_date.submit(  # type: ignore[call-overload]
                stage, runs, wait_for=needs
            )
        if not running:
            return done, failed
        finished = next(as_completed(list(running.values())))
        name = next(name for name, future in running.items() if future is finished)
        del running[name]
        finished.wait()
        if finished.state.is_completed():
            done[name] = finished
            order.done(name)
        else:
            failed[name] = finished.result(raise_on_failure=False)
