"""Launching a stage's training, and resuming it: by params, inputs and code it is found again."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml
from pydantic import BaseModel

from lessonpipe import __version__, cluster
from lessonpipe.cluster.ray_train import Run
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write, read_json
from lessonpipe.io.hashing import fingerprint
from lessonpipe.io.progress import progress_bar
from lessonpipe.io.storage import Storage
from tasks.pipeline.dvc_files import SOURCE, read_stages
from tasks.pipeline.live import LiveCurves
from tasks.pipeline.lock import STATE_DIR

if TYPE_CHECKING:
    from lessonpipe.device import Worker
    from lessonpipe.train.checkpoint import Checkpoint
    from lessonpipe.train.fit import History

T = TypeVar("T", bound=BaseModel)
J = TypeVar("J")
LIVE = Path("live")  # no output of a stage, so that it makes none out of date
CODE = ("lessons", "tasks", "my_steps.py")  # beside the core; a cluster's nodes get it too


@dataclass(frozen=True)
class TrainRun(Run[T], Generic[T]):
    """One training of a stage: its params, inputs, output folder, checkpoint.

    `live` is the folder for its curves, None where the workers may not see it.
    """

    live: Path | None = None

    @property
    def checkpoint(self) -> "Checkpoint":
        """Where the training resumes from."""
        from lessonpipe.train.checkpoint import Checkpoint  # loads torch: not for every stage

        return Checkpoint(self.scratch)

    def callback(self, worker: "Worker", part: str = "") -> LiveCurves:
        """What shows how the training goes; one of several trainings is told by its `part`."""
        folder = self.live / part if self.live and worker.rank == 0 else None
        return LiveCurves(folder, Path(self.scratch.address).name, cluster.report_metrics)

    def save_history(self, history: "History", name: str = "history.csv") -> None:
        """Write the rows of the epochs into the output folder."""
        from lessonpipe.train.fit import as_csv

        atomic_write(self.out / name, as_csv(history))


def launch(
    train_worker: Callable[[TrainRun[T]], None], params: T, inputs: dict[str, Path], out: Path
) -> None:
    """Run `train_worker` by Ray Train; what its first worker leaves in the draft becomes `out`.

    The scratch folder outlives a kill, and is found again while params, inputs and code are the
    same; it is removed in the end.
    """
    stage = out.name
    key = run_key(stage, params, inputs.values())
    scratch = Storage.at(STATE_DIR / "checkpoints" / f"{stage}-{key}")
    with atomic_folder(out, fsync=True) as draft:
        live = None if cluster.address() else LIVE.absolute() / stage
        run = TrainRun(stage, params, inputs, draft, scratch, live)
        cluster.run_training(train_worker, run, name=f"{stage}-{key}")
        lineage.stamp(draft, params.model_dump(mode="json"), inputs, **_recipe(inputs.values()))
    scratch.clear()


@contextmanager
def map_trainings(
    train_one: Callable[[J], dict[str, Any]],
    jobs: dict[str, J],
    params: BaseModel,
    inputs: Iterable[Path],
    stage: str,
) -> Iterator[dict[str, dict[str, Any]]]:
    """Independent trainings, one to a processor; yields what each returned, by name.

    A result is of tensors, numbers and strings, and is saved until the block ends without an error:
    after a kill only what is missing is trained, while params, inputs and code are the same.
    """
    from lessonpipe.train.checkpoint import Checkpoint  # loads torch: not for every stage

    scratch = Storage.at(STATE_DIR / "checkpoints" / f"{stage}-{run_key(stage, params, inputs)}")
    checkpoints = {name: Checkpoint(scratch / name) for name in jobs}
    done = {name: found for name in jobs if (found := checkpoints[name].load()) is not None}
    if done:
        print(f"resuming after {len(done)} of {len(jobs)} trainings", flush=True)
    missing = [[(name, job)] for name, job in jobs.items() if name not in done]
    if missing:
        with cluster.ray_session(cluster.worker_count(os.cpu_count() or 1)):
            results = cluster.map_unordered(partial(_named, train_one), missing)
            bar = progress_bar(results, stage, total=len(missing), unit="training")
            for (name, result), _ in bar:
                checkpoints[name].save(result)
                done[name] = result
    yield {name: done[name] for name in jobs}
    scratch.clear()


def _named(train_one: Callable[[J], dict[str, Any]], item: tuple[str, J]) -> Any:
    name, job = item
    return name, train_one(job)


def _recipe(inputs: Iterable[Path]) -> dict[str, Any]:
    """The recipe of the pairs among a training's inputs, as steps and in words, and the target."""
    for folder in inputs:
        if (folder / "manifest.json").is_file():
            manifest = read_json(folder / "manifest.json")
            words = {"undoes": manifest.get("damage", []), "target": manifest.get("target")}
            return {"recipe": manifest["recipe"], **words}
    return {}


def run_key(stage: str, params: BaseModel, inputs: Iterable[Path]) -> str:
    """A name for a run: the same while params, inputs and the stage's code are the same."""
    digest = hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode())
    digest.update(fingerprint(inputs).encode())
    digest.update(__version__.encode())  # for installed code, which dvc.yaml does not list
    rooms = ("lessonpipe", *CODE)
    names = [dep for dep in stage_deps(stage) if dep.split("/")[0] in rooms]
    code = [Path(name) if Path(name).exists() else SOURCE / name for name in names]
    digest.update(fingerprint(code, suffix=".py").encode())
    return digest.hexdigest()[:16]


def stage_deps(stage: str) -> list[str]:
    """What the stage depends on, as dvc.yaml says; a test keeps its lists of code complete."""
    found = (known for target, known in read_stages().items() if target.split(":")[-1] == stage)
    return list(next(found, {}).get("deps", []))


def stage_files(stage: str, graph: Path = Path("dvc.yaml")) -> tuple[list[Path], list[Path]]:
    """What a stage reads (the params file, data and models) and writes, as dvc.yaml says."""
    known = yaml.safe_load(graph.read_text("utf-8"))["stages"][stage]
    reads = [Path(name) for name in known["deps"] if name.startswith(("data/", "models/"))]
    writes = [*known["outs"], *known.get("metrics", [])]
    names = [name if isinstance(name, str) else next(iter(name)) for name in writes]
    return [Path("params.yaml"), *reads], [Path(name) for name in names]
