"""What the training stages share: their scratch folder, found again by params, inputs and code."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from lessonpipe import cluster, lineage
from lessonpipe.files import fingerprint, whole_folder
from lessonpipe.storage import Storage
from tasks.guard import STATE
from tasks.sources import ROOT, sources


def train(
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
    scratch = STATE / "checkpoints" / f"{stage}-{key}"
    with whole_folder(out) as draft:
        cluster.train(
            work,
            {"params": params.model_dump()},
            inputs=inputs,
            out=draft,
            scratch=scratch,
            name=f"{stage}-{key}",
        )
        lineage.stamp(draft, params.model_dump(mode="json"), inputs)
    Storage.at(scratch).clear()


def run_key(stage: str, params: BaseModel, inputs: Iterable[Path]) -> str:
    """A name for a run: the same while params, inputs and the stage's code are the same."""
    digest = hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode())
    digest.update(fingerprint(inputs).encode())
    for name in sources(f"tasks.{stage}"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def files(stage: str, graph: Path = Path("dvc.yaml")) -> tuple[list[Path], list[Path]]:
    """What a stage reads (the params file, data and models) and writes, as dvc.yaml says."""
    known = yaml.safe_load(graph.read_text("utf-8"))["stages"][stage]
    reads = [Path(name) for name in known["deps"] if name.startswith(("data/", "models/"))]
    writes = [*known["outs"], *known.get("metrics", [])]
    names = [name if isinstance(name, str) else next(iter(name)) for name in writes]
    return [Path("params.yaml"), *reads], [Path(name) for name in names]
