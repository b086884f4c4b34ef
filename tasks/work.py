"""What the training stages share: their scratch folder, found again by params, inputs and code."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lessonpipe import cluster
from lessonpipe.files import fingerprint, whole_folder
from lessonpipe.train.checkpoint import Checkpoint
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
        config = {
            "params": params.model_dump(),
            "scratch": str(scratch.resolve()),
            "out": str(draft.resolve()),
            **{name: str(path.resolve()) for name, path in inputs.items()},
        }
        cluster.train(work, config, f"{stage}-{key}")
    Checkpoint(scratch).clear()


def run_key(stage: str, params: BaseModel, inputs: Iterable[Path]) -> str:
    """A name for a run: the same while params, inputs and the stage's code are the same."""
    digest = hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode())
    digest.update(fingerprint(inputs).encode())
    for name in sources(f"tasks.{stage}"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]
