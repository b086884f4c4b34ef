"""What DVC needs before it runs, put right or told with the cure; `make run` and the flows ask.

    python -m tasks.pipeline.prepare [--experiment]

DVC wants a git repository (for `dvc exp`, with `--experiment`, one with a commit), does not know
the `~` of a home nor the package's models by name, and cannot keep a name that is not UTF-8.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from lessonpipe import zoo
from lessonpipe.data.folders import NOT_UTF8, is_utf8
from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.git import git
from lessonpipe.io.printable import printable
from tasks.pipeline import params

COMMIT = "git init && git add -A && git commit -m start"
PARAMS = Path("params.yaml")
NO_GIT = "dvc config --local core.no_scm true"


def prepare(*, experiment: bool = False, params_file: Path = PARAMS) -> None:
    """Make the working folder one that DVC can run stages in.

    Writes paths into `params_file` in the place of a photo folder's `~` and of the name of a
    package's model to start from. Raises `UserError` with the cure.
    """
    check_repository(experiment=experiment)
    if params_file.is_file():
        check_photos(params_file)
        check_start(params_file)


def check_repository(*, experiment: bool = False) -> None:
    """Raise `UserError` where DVC would miss git: no repository, or for an experiment no commit."""
    here = Path.cwd()
    if experiment:
        try:
            git("rev-parse", "--verify", "HEAD")
        except OSError:
            return  # no git command: DVC says what it misses
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[0].removeprefix("fatal: ")
            raise UserError(
                f"a profile, a recipe or an experiment needs a git repository with a commit: "
                f"{COMMIT} (git says: {reason})"
            ) from error
    elif not any((folder / ".git").exists() for folder in (here, *here.parents)) and not _no_scm():
        raise UserError(
            f"this folder is no git repository, which DVC asks for; make it one: {COMMIT}; "
            f"or run the stages without: {NO_GIT}"
        )


def _no_scm() -> bool:
    command = [sys.executable, "-m", "dvc", "config", "core.no_scm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().lower() == "true"


def check_photos(params_file: Path) -> None:
    """Write out a `~` in `download.folder`. Raises `UserError` where DVC cannot keep its files."""
    download = params.read(params_file).get("download") or {}
    given = download.get("folder")
    if download.get("source") != "folder" or not isinstance(given, str):
        return
    folder = Path(given).expanduser() if given.startswith("~") else Path(given)
    if given.startswith("~"):
        _write_path(params_file, "download.folder", given, str(folder), "~")
    for place, _, files in os.walk(folder):
        for name in files:
            if not is_utf8(name):
                path = printable(os.path.join(place, name))
                raise UserError(f"{path}: {NOT_UTF8}, since DVC cannot keep it")


def check_start(params_file: Path) -> None:
    """Write out a package's model's name in `pretrain_generator.start`.

    Raises `UserError` for a folder that a run makes, or with `~`.
    """
    start = (params.read(params_file).get("pretrain_generator") or {}).get("start")
    if not isinstance(start, str):
        return
    made = Path(start).parts[:1] == ("models",) and Path(start).parts[1:2] != ("versions",)
    if made or start.startswith("~"):
        reason = "a run makes it anew" if made else "DVC does not know ~"
        raise UserError(
            f"pretrain_generator.start = {start!r}: {reason}; copy it: cp -r {start}/. my_model/"
        )
    if (folder := zoo.find_model(start)) != Path(start) and _dvc_tracks_start():
        here = Path.cwd()
        path = folder.relative_to(here) if folder.is_relative_to(here) else folder
        _write_path(params_file, "pretrain_generator.start", start, str(path), "names of models")


def _dvc_tracks_start() -> bool:
    """Whether dvc.yaml names the start as a dependency; that of a new project does not."""
    graph = Path("dvc.yaml")
    return not graph.is_file() or "${pretrain_generator.start}" in graph.read_text("utf-8")


def _write_path(params_file: Path, setting: str, given: str, path: str, unknown: str) -> None:
    """Put a path in the place of what DVC does not know; the rest of the file stays as it is."""
    section, key = setting.split(".")
    text = params_file.read_text("utf-8")
    line = (
        rf"(?m)^({section}:[^\n]*\n(?:[ #][^\n]*\n|\n)*?[ ]+{key}: *)"
        rf"['\"]?{re.escape(given)}['\"]?"
    )
    written = re.sub(line, lambda match: match[1] + _quoted(path), text, count=1)
    if yaml.safe_load(written)[section][key] != path:
        raise UserError(f"{setting} = {given!r}: DVC does not know {unknown}; write {path}")
    atomic_write(params_file, written)
    print(f"{params_file}: {setting} is now {path}, since DVC does not know {unknown}", flush=True)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "''") + "'"


def main(arguments: list[str]) -> int:
    """Prepare the working folder; returns the exit code."""
    try:
        prepare(experiment="--experiment" in arguments)
    except UserError as error:
        print(f"run: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
