"""A batch run: pull what is known, run what is not, push each stage's outputs.

    ray job submit --working-dir . -- python -m flows job [STAGE ...]

Runs where a submitted job runs: in a copy of the project without git, data or models. Everything
comes from DVC's remote and goes back to it, stage by stage, so that the same command continues a
job that was killed, and `dvc repro --pull` gets the results into a workspace. Photos in a folder of
the project stay in the workspace: the job pulls what `download` made of them there.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from flows.dvc import StageError, dvc, read_stages, select_stages
from lessonpipe.errors import LessonpipeError, UserError
from tasks.pipeline.own_files import project_photos


def run(names: Iterable[str]) -> None:
    """Bring the stages up to date. Raises `UserError` without a remote, `StageError` of a stage."""
    if not Path(".git").exists():
        dvc("config", "--local", "core.no_scm", "true")
    if not dvc("remote", "list").strip():
        raise UserError("DVC has no remote; `dvc remote add --default store s3://bucket/folder`")
    stages = select_stages(read_stages(), names)
    try:
        dvc("fetch", "--run-cache")
    except LessonpipeError as error:  # a new remote has none; with a wrong one the push fails
        print(f"nothing is fetched: {error}", flush=True)
    photos = None if Path(".git").exists() else project_photos()
    for name, stage in stages.items():
        if name == "download" and photos:
            _pull(stage.target, photos)
            continue
        command = ["repro", "--single-item", "--pull", "--allow-missing", stage.target]
        if _are_lost(stage.outs):
            command.append("--force")
        repro = subprocess.run([sys.executable, "-m", "dvc", *command], check=False)
        if repro.returncode:
            raise StageError(name, f"dvc ended with code {repro.returncode}; see above")
        dvc("push", "--run-cache", stage.target)
        print(f"{name}: pushed", flush=True)


def _are_lost(outs: Iterable[Path]) -> bool:
    """Whether dvc.lock knows outputs that are neither here nor in the remote.

    Such as in a new clone with a remote of its own: DVC would take the stage for done.
    """
    status = json.loads(dvc("data", "status", "--json", "--not-in-remote", *outs) or "{}")
    return bool({*status.get("not_in_cache", [])} & {*status.get("not_in_remote", [])})


def _pull(target: str, photos: Path) -> None:
    try:
        dvc("pull", target)
    except LessonpipeError as error:
        raise UserError(
            f"the photos of {photos} are not here, nor what `{target}` made of them in DVC's "
            f"remote; at the desk, `dvc repro {target}` and `dvc push {target}`, then submit again"
        ) from error
    print(f"{target}: pulled", flush=True)
