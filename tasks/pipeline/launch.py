"""What the training stages share: their scratch folder, found again by params, inputs and code."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from lessonpipe import cluster
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder
from lessonpipe.io.hashing import fingerprint
from lessonpipe.io.progress import progress_bar
from lessonpipe.io.storage import Storage
from tasks.pipeline.lock import STATE_DIR

J = TypeVar("J")
ROOT = (
    Path(__file__).resolve().parents[2]
)  # of the code; a stage's data are below the working folder
GRAPHS = (ROOT / "dvc.yaml", ROOT / "lessons/dvc.yaml")
CODE = ("lessonpipe/", "lessons/", "tasks/", "my_steps.py")


def launch(
    work: Callable[[dict[str, Any]], None],
    params: BaseModel,
    inputs: dict[str, Path],
    out: Path,
) -> None:
    """Run `work` by Ray Train; what its first worker leaves in the draft becomes `out`.

    `work` gets `params`, the `inputs` by name, `out` (a draft folder) and `scratch`, all as plain
    strings and numbers. The scratch folder outlives a kill, and is found again while params,
    inputs and code are the same; it is removed in the end.
    """
    stage = out.name
    key = run_key(stage, params, inputs.values())
    scratch = STATE_DIR / "checkpoints" / f"{stage}-{key}"
    with atomic_folder(out) as draft:
        cluster.run_training(
            work,
            {"params": params.model_dump()},
            inputs=inputs,
            out=draft,
            scratch=scratch,
            name=f"{stage}-{key}",
        )
        lineage.stamp(draft, params.model_dump(mode="json"), inputs)
    Storage.at(scratch).clear()


@contextmanager
def map_trainings(
    one: Callable[[J], dict[str, Any]],
    jobs: dict[str, J],
    params: BaseModel,
    inputs: Iterable[Path],
    stage: str,
) -> Iterator[dict[str, dict[str, Any]]]:
    """Independent trainings, one to a processor; gives what each answered, by name.

    An answer is of tensors, numbers and strings, and is kept until the block ends well: after a
    kill only what is missing is done, while params, inputs and code are the same.
    """
    from lessonpipe.train.checkpoint import Checkpoint  # loads torch: not for every stage

    scratch = Storage.at(STATE_DIR / "checkpoints" / f"{stage}-{run_key(stage, params, inputs)}")
    kept = {name: Checkpoint(scratch / name) for name in jobs}
    done = {name: found for name in jobs if (found := kept[name].load()) is not None}
    if done:
        print(f"going on after {len(done)} of {len(jobs)} trainings", flush=True)
    left = [[(name, job)] for name, job in jobs.items() if name not in done]
    if left:
        with cluster.ray_session(cluster.worker_count(os.cpu_count() or 1)):
            results = cluster.map_unordered(partial(_named, one), left)
            for (name, answer), _ in progress_bar(results, stage, total=len(left), unit="training"):
                kept[name].save(answer)
                done[name] = answer
    yield {name: done[name] for name in jobs}
    scratch.clear()


def _named(one: Callable[[J], dict[str, Any]], item: tuple[str, J]) -> tuple[str, dict[str, Any]]:
    name, job = item
    return name, one(job)


def run_key(stage: str, params: BaseModel, inputs: Iterable[Path]) -> str:
    """A name for a run: the same while params, inputs and the stage's code are the same."""
    digest = hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode())
    digest.update(fingerprint(inputs).encode())
    code = [ROOT / dep for dep in stage_deps(stage) if dep.startswith(CODE)]
    digest.update(fingerprint(code, suffix=".py").encode())
    return digest.hexdigest()[:16]


def stage_deps(stage: str) -> list[str]:
    """What the stage depends on, as dvc.yaml says; a test keeps its lists of code complete."""
    for graph in GRAPHS:
        if stage in (stages := yaml.safe_load(graph.read_text("utf-8"))["stages"]):
            return list(stages[stage]["deps"])
    return []


def stage_files(stage: str, graph: Path = Path("dvc.yaml")) -> tuple[list[Path], list[Path]]:
    """What a stage reads (the params file, data and models) and writes, as dvc.yaml says."""
    known = yaml.safe_load(graph.read_text("utf-8"))["stages"][stage]
    reads = [Path(name) for name in known["deps"] if name.startswith(("data/", "models/"))]
    writes = [*known["outs"], *known.get("metrics", [])]
    names = [name if isinstance(name, str) else next(iter(name)) for name in writes]
    return [Path("params.yaml"), *reads], [Path(name) for name in names]
