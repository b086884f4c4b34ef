"""The flow: every stage of dvc.yaml as a Prefect task, in DVC's order, through DVC's cache.

    python -m flows run               once, now
    python -m flows ui                a page to start, watch and schedule runs

A stage that did not have to run ends as "Cached". The flow has no cache and no graph of its own.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Cancelled, Completed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows import dvc
from flows.artifacts import ProgressArtifact, publish
from lessonpipe.io.progress import Event, Progress
from tasks.pipeline.lock import run_lock
from tasks.pipeline.prepare import prepare

CRASH_RETRIES = 1
RETRY_DELAYS: list[float] = [2, 5, 10, 15, 15, 15]  # seconds


def is_worth_a_retry(_: Any, run: Any, state: State[Any]) -> bool:
    """A lock clash passes, a crash may; what a person has to mend or has stopped does not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, dvc.CrashError):
        return int(run.run_count) <= CRASH_RETRIES
    return isinstance(error, dvc.BusyError)


@task(
    task_run_name="{stage.name}",
    retries=len(RETRY_DELAYS),
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=is_worth_a_retry,
    cache_policy=NO_CACHE,
)
def bring_up_to_date(stage: dvc.Stage, runner: dvc.StageRunner) -> State[None]:
    """Run one stage if DVC finds it changed. Raises `StageError`."""
    log = get_run_logger()
    artifact = ProgressArtifact(stage.name)

    def on_line(line: str, event: Event | None) -> None:
        log.info(line)
        if isinstance(event, Progress):
            artifact.update(event)

    try:
        unchanged = runner.run(stage.target, on_line)
    except dvc.StoppedError as error:
        return Cancelled(message=str(error))
    artifact.finish()
    try:
        publish(stage)
    except (OSError, ValueError) as error:
        log.warning("%s: its images and metrics are not shown: %s", stage.name, error)
    return Completed(name="Cached", message=unchanged) if unchanged else Completed()


@flow(name="restorer")
def restorer(stages: Sequence[str] = (), side_by_side: Annotated[int, Field(ge=1)] = 1) -> None:
    """Bring the stages up to date; what is done already shows as *Cached*.

    Args:
        stages: Which to bring up to date, with all they depend on; none named: all of the restorer.
        side_by_side: How many stages may run at the same time; 1 suits one processor or GPU.
    """
    prepare()
    selected = dvc.select_stages(dvc.read_stages(), stages)
    with run_lock(get_run_logger().info):
        done, failed = run_stages(selected, side_by_side)
    if failed:
        skipped = [name for name in selected if name not in done and name not in failed]
        rest = f" (not run because of it: {', '.join(skipped)})" if skipped else ""
        messages = "; ".join(str(error) for error in failed.values())
        raise dvc.StageError(next(iter(failed)), messages + rest)


Futures = dict[str, PrefectFuture[Any]]


def run_stages(
    stages: dict[str, dvc.Stage], side_by_side: int
) -> tuple[Futures, dict[str, BaseException]]:
    """Run each stage when those that it needs are done; returns what was done and what failed.

    After a failure, the stages that do not depend on it still run.
    """
    sorter = dvc.topological_sorter(stages)
    sorter.prepare()
    runner = dvc.StageRunner()
    running: dict[PrefectFuture[Any], str] = {}
    done: Futures = {}
    failed: dict[str, BaseException] = {}
    with ThreadPoolTaskRunner[Any](max_workers=side_by_side) as pool:
        try:
            while True:
                # only what can start at once: a task that waits for another would hold a thread
                for name in sorter.get_ready():
                    arguments = {"stage": stages[name], "runner": runner}
                    needs = [done[need] for need in stages[name].needs]  # Prefect draws the graph
                    running[pool.submit(bring_up_to_date, arguments, wait_for=needs)] = name
                if not running:
                    return done, failed
                future = next(as_completed(list(running)))
                future.wait()
                name = running.pop(future)
                if future.state.is_completed():
                    done[name] = future
                    sorter.done(name)
                else:
                    failed[name] = future.result(raise_on_failure=False)
        except BaseException:  # cancelled, interrupted or terminated: leave no process behind
            runner.stop()
            raise
