"""DVC experiments, through DVC's queue: named by what they set, run once, found again.

An experiment is found by what it sets, not by the code: `remove` it to run it anew.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable

from flows.dvc import dvc
from lessonpipe.config import StrictModel
from lessonpipe.errors import LessonpipeError
from lessonpipe.io.progress import JSON_ENV, Done, parse_event
from tasks.pipeline import child_process
from tasks.pipeline.own_files import project_model, project_photos
from tasks.pipeline.prepare import check_repository, prepare
from tasks.pipeline.profiles import hydra_value


class Experiment(StrictModel):
    """A run of the stages up to `stage`, with `overrides` of params.yaml such as `seed=3`."""

    stage: str
    overrides: list[str]

    @property
    def name(self) -> str:
        """The name as a DVC experiment, which is made of all that it sets."""
        content = json.dumps([self.stage, self.overrides])
        return f"try-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def run_all(
    experiments: Iterable[Experiment], side_by_side: int = 1, *, anew: bool = False
) -> None:
    """Queue the experiments that have not been run, and run the queue.

    With `anew` they run even where DVC's run cache has their outputs. Raises `LessonpipeError` when
    some failed.
    """
    prepare(experiment=True)
    missing = {e.name: e for e in experiments}
    for name in finished():
        missing.pop(name, None)
    _queue(missing.values(), run_cache=not anew)
    if missing:
        print(f"{len(missing)} experiments", flush=True)
        threads = max(1, (os.cpu_count() or 1) // side_by_side)
        process = child_process.start(
            [sys.executable, "-m", "dvc", "exp", "run", "--run-all", "--jobs", str(side_by_side)],
            env={"OMP_NUM_THREADS": str(threads), **os.environ, **JSON_ENV},
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            dvc("queue", "stop", "--kill")  # DVC's worker is a process of its own
            raise
        finally:
            child_process.stop(process)
    if failed := missing.keys() - finished():
        raise LessonpipeError(
            f"{len(failed)} experiments failed; see `dvc queue logs {sorted(failed)[0]}`"
        )


def _queue(experiments: Iterable[Experiment], run_cache: bool) -> None:
    """Queue them by DVC's Python API, since `dvc exp run` has no `--no-run-cache`.

    DVC runs them in copies of the project, without what git does not track, so the user's photos
    and model are named by their absolute paths.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    own = {"download.folder": project_photos(), "pretrain_generator.start": project_model()}
    folders = [f"{key}={hydra_value(str(path.resolve()))}" for key, path in own.items() if path]
    try:
        with Repo() as repo:
            for one in experiments:
                options = {"name": one.name, "params": [*folders, *one.overrides]}
                repo.experiments.run([one.stage], queue=True, run_cache=run_cache, **options)
    except DvcException as error:
        raise LessonpipeError(f"dvc exp run: {error}") from error


def remove(experiments: Iterable[Experiment]) -> None:
    """Remove the results of those that were run."""
    if names := sorted({e.name for e in experiments} & finished()):
        dvc("exp", "remove", *names)


def finished() -> set[str]:
    """The names of all experiments that were run. Raises `UserError` without a commit."""
    check_repository(experiment=True)
    return set(dvc("exp", "list", "--all-commits", "--name-only").split())


def metrics(experiment: Experiment) -> dict[str, float]:
    """The metrics of an experiment by name, such as `128.gan.psnr`; none before `evaluate`."""
    files = json.loads(dvc("metrics", "diff", "--all", "--json", "HEAD", experiment.name) or "{}")
    return {
        name: float(values["new"])
        for by_name in files.values()
        for name, values in by_name.items()
        if isinstance(values, dict) and isinstance(values.get("new"), int | float)
    }


def seconds(experiment: Experiment) -> float:
    """How long its stage took, or one of its trainings where it tells that of several.

    NaN when the queue has removed its log.
    """
    try:
        log = dvc("queue", "logs", experiment.name)
    except LessonpipeError:
        return float("nan")
    if told := re.findall(r": (\d+) s a training$", log, re.MULTILINE):  # of `Result.write`
        return sum(map(float, told)) / len(told)
    events = [event for line in log.splitlines() if isinstance(event := parse_event(line), Done)]
    return next((e.seconds for e in events if e.stage == experiment.stage), float("nan"))
