"""A batch run: pull what is known, run what is not, push what was made.

    ray job submit --working-dir . -- python -m flows job [STAGE ...]

Runs where a submitted job runs: in a copy of the project without git, data or models. Everything
comes from DVC's remote and goes back to it, stage by stage, so that a job that is killed is gone on
with by the same line, and a desk gets the results by `dvc repro --pull`. Photos in a folder of the
project stay at the desk: what `download` made of them there is pulled.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from flows import dvc
from lessonpipe.errors import LessonpipeError, UserError
from tasks.pipeline import own_photos


def run(names: Iterable[str]) -> None:
    """Bring the stages up to date. Raises `UserError` without a remote, `StageError` of a stage."""
    if not Path(".git").exists():
        _dvc("config", "--local", "core.no_scm", "true")
    if not _dvc("remote", "list").strip():
        raise UserError("DVC has no remote; `dvc remote add --default store s3://bucket/folder`")
    wanted = dvc.select(dvc.read(), names)
    try:
        _dvc("fetch", "--run-cache")
    except LessonpipeError as error:  # a new remote has none; a wrong one is told by the push
        print(f"nothing is fetched: {error}", flush=True)
    own = None if Path(".git").exists() else own_photos.project_photos()
    for name, stage in wanted.items():
        if name == "download" and own:
            _pull(stage.target, own)
            continue
        command = ["repro", "--single-item", "--pull", "--allow-missing", stage.target]
        done = subprocess.run([sys.executable, "-m", "dvc", *command], check=False)
        if done.returncode:
            raise dvc.StageError(name, f"dvc ended with code {done.returncode}; see above")
        _dvc("push", "--run-cache", stage.target)
        print(f"{name}: pushed", flush=True)


def _pull(target: str, own: Path) -> None:
    try:
        _dvc("pull", target)
    except LessonpipeError as error:
        raise UserError(
            f"the photos of {own} are not here, nor what `{target}` made of them in DVC's remote; "
            f"at the desk, `dvc repro {target}` and `dvc push {target}`, then submit again"
        ) from error
    print(f"{target}: pulled", flush=True)


def _dvc(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LessonpipeError(f"dvc {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
