"""The stages of dvc.yaml: their order, and how one is run. Knows DVC; does not know Prefect."""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from lessonpipe.errors import LessonpipeError, one_of
from lessons.result import RESULT_FILE, LessonResult
from tasks.pipeline import child_process

BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")  # DVC's words
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".svg")
MENDABLE = 2  # a stage's exit code for what a person has to mend: trying again is no use


class StageError(LessonpipeError):
    """A stage that did not end well, in its own last words."""

    def __init__(self, stage: str, words: str) -> None:
        super().__init__(words if words.startswith(f"{stage}: ") else f"{stage}: {words}")
        self.stage = stage


class BusyError(StageError):
    """Another DVC command is at work on the same files; the stage did not start."""


class CrashError(StageError):
    """The stage's command broke off for no reason that a person could mend."""


class StoppedError(StageError):
    """The run was cancelled."""


@dataclass(frozen=True)
class Stage:
    """A stage, what must be up to date before it, and what it leaves.

    `target` is how DVC calls it: its name, behind its file where that is not dvc.yaml.
    """

    name: str
    target: str
    needs: tuple[str, ...] = ()
    outs: tuple[Path, ...] = ()
    metrics: tuple[Path, ...] = ()

    @property
    def pictures(self) -> list[Path]:
        """Outs that are pictures, and what a lesson's folder among them has to show."""
        lessons = [out for out in self.outs if (out / RESULT_FILE).is_file()]
        inside = [
            lesson / one.file for lesson in lessons for one in LessonResult.read(lesson).plots
        ]
        return [path for path in (*self.outs, *inside) if path.suffix.lower() in PICTURES]


def read() -> dict[str, Stage]:
    """All stages of this folder's project, the lessons' too, each after those it needs."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            graph = repo.index.graph
            stages = {
                s.name: Stage(
                    s.name,
                    s.addressing,
                    tuple(need.name for need in graph.successors(s) if need.cmd),
                    tuple(Path(o.fs_path) for o in s.outs),
                    tuple(Path(o.fs_path) for o in s.outs if o.metric),
                )
                for s in graph
                if s.cmd
            }
    except DvcException as error:
        raise LessonpipeError(f"DVC cannot read the stages: {error}") from error
    return {name: stages[name] for name in topological_sorter(stages).static_order()}


def topological_sorter(stages: dict[str, Stage]) -> "TopologicalSorter[str]":
    """What hands out the stages in their order."""
    return TopologicalSorter({stage.name: stage.needs for stage in stages.values()})


def select(stages: dict[str, Stage], names: Iterable[str] | None) -> dict[str, Stage]:
    """The named stages and all they depend on, in order; all of dvc.yaml when none is named.

    Raises `UserError`, listing the right names, for a wrong one.
    """
    left = list(names or (s.name for s in stages.values() if s.target == s.name))
    chosen: set[str] = set()
    while left:
        name = left.pop()
        if name not in stages:
            raise one_of("stage", name, stages)
        chosen.add(name)
        left += stages[name].needs
    return {name: stage for name, stage in stages.items() if name in chosen}


class StageRunner:
    """Runs stages through DVC, from several threads if need be, and can end them all."""

    def __init__(self) -> None:
        self._live: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._lock = threading.Lock()

    def run(self, stage: str, tell: Callable[[str], None]) -> str | None:
        """Bring one stage up to date; answers DVC's words if it did not have to run.

        `stage` is what DVC calls it, its target.
        Every line that DVC and the stage say is handed to `tell`. Raises `StageError`.
        """
        lines: deque[str] = deque(maxlen=100)
        ran = False
        process = self._start(stage)
        try:
            assert process.stdout
            for line in map(str.rstrip, process.stdout):
                if line:
                    ran = ran or line == f"Running stage '{stage}':"
                    lines.append(line)
                    tell(line)
            code = process.wait()
        finally:
            child_process.stop(process)
            self._live.discard(process)
        if self._stopping:
            raise StoppedError(stage, "stopped")
        if code:
            raise failure(stage, list(lines), code)
        return None if ran else next((x for x in lines if "skipping" in x), "up to date")

    def stop(self) -> None:
        """End every running stage with all its processes, and let no other start."""
        with self._lock:
            self._stopping = True
            live = list(self._live)
        for process in live:
            assert process.stdin
            process.stdin.close()  # all get their grace at the same time
        for process in live:
            child_process.stop(process)

    def _start(self, stage: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
        here = Path(sys.executable).parent  # where the stages' own `python` is
        env = os.environ | {
            "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "DVC_NO_ANALYTICS": "1",
        }
        with self._lock:
            if self._stopping:
                raise StoppedError(stage, "stopped before it started")
            process = child_process.start(command, env=env, out=subprocess.PIPE)
            self._live.add(process)
        return process


def failure(stage: str, lines: list[str], code: int) -> StageError:
    """The error for what DVC and the stage said before they failed."""
    told = [line for line in lines if not line.startswith("ERROR: ")]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any(words in line for words in BUSY for line in errors):
        return BusyError(stage, "another DVC command is at work on the same files")
    exits = re.search(r"failed to run: .*, exited with (-?\d+)$", "\n".join(errors), re.MULTILINE)
    if not exits:  # DVC itself refused
        return StageError(stage, errors[-1] if errors else f"dvc ended with code {code}")
    words = told[-1] if told and not told[-1].startswith("> ") else exits[0]
    return (StageError if int(exits[1]) == MENDABLE else CrashError)(stage, words)
