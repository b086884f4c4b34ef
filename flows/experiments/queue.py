"""Experiments through DVC's queue: named by what they set, run once, found again.

An experiment is found by what it sets, not by the code: `forget` it to run it anew.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lessonpipe.config import StrictModel
from lessonpipe.errors import LessonpipeError
from tasks.pipeline import child_process, own_photos
from tasks.pipeline.profiles import spelt


class Experiment(StrictModel):
    """One training: a name made of all that it is, so that it is found again."""

    stage: str
    words: list[str]

    @property
    def name(self) -> str:
        """Its name as a DVC experiment."""
        digest = hashlib.sha256(json.dumps([self.stage, self.words]).encode()).hexdigest()
        return f"try-{digest[:10]}"


def run_all(
    experiments: Iterable[Experiment], side_by_side: int = 1, *, anew: bool = False
) -> None:
    """Queue the experiments that have not been run, run the queue, see that all are there.

    With `anew` they run even where DVC's cache knows what would come out.
    """
    missing = {e.name: e for e in experiments}
    for name in finished():
        missing.pop(name, None)
    _queue(missing.values(), run_cache=not anew)
    if missing:
        print(f"{len(missing)} experiments", flush=True)
        threads = max(1, (os.cpu_count() or 1) // side_by_side)
        process = child_process.start(
            [sys.executable, "-m", "dvc", "exp", "run", "--run-all", "--jobs", str(side_by_side)],
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            dvc("queue", "stop", "--kill")  # the queue has a worker of its own
            raise
        finally:
            child_process.stop(process)
    if lost := missing.keys() - finished():
        raise LessonpipeError(
            f"{len(lost)} experiments failed; see `dvc queue logs {sorted(lost)[0]}`"
        )


def _queue(experiments: Iterable[Experiment], run_cache: bool) -> None:
    """Through DVC's own API, since `dvc exp run` has no `--no-run-cache`.

    DVC runs them in copies of the project, without what git ignores: photos are named by their
    full path.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    here = (
        [f"download.folder={spelt(str(own.resolve()))}"]
        if (own := own_photos.project_photos())
        else []
    )
    try:
        with Repo() as repo:
            for one in experiments:
                how = {"name": one.name, "params": [*here, *one.words], "run_cache": run_cache}
                repo.experiments.run([one.stage], queue=True, **how)
    except DvcException as error:
        raise LessonpipeError(f"dvc exp run: {error}") from error


def forget(experiments: Iterable[Experiment]) -> None:
    """Remove those of them that were run."""
    if names := sorted({e.name for e in experiments} & finished()):
        dvc("exp", "remove", *names)


def finished() -> set[str]:
    """The names of all experiments that were run."""
    return set(dvc("exp", "list", "--all-commits", "--name-only").split())


def dvc(*words: str | Path) -> str:
    """What a DVC command says. Raises `LessonpipeError` with its complaint."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        raise LessonpipeError(f"dvc {words[0]} {words[1]}: {done.stderr.strip()}")
    return done.stdout


def measures(one: Experiment) -> dict[str, float]:
    """The measures that evaluate found in an experiment, by name; none if it did not go so far."""
    shown = json.loads(dvc("metrics", "diff", "--all", "--json", "HEAD", one.name) or "{}")
    found = {}
    for metrics in shown.values():
        for name, values in metrics.items():
            if isinstance(values, dict) and isinstance(values.get("new"), int | float):
                found[name] = float(values["new"])
    return found
