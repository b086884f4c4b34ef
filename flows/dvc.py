"""The stages of dvc.yaml, their order, and how DVC runs one. Knows DVC and not Prefect."""

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
from lessonpipe.io.progress import JSON_ENV, Event, parse_event
from lessonpipe.report.result import RESULT_FILE, Result
from tasks.pipeline import child_process
from tasks.pipeline.prepare import check_repository

LOCK_MESSAGES = ("Unable to acquire lock", "is busy, it is being blocked by")  # of DVC
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".svg")
USER_ERROR = 2  # a stage's exit code for what a person has to mend: a retry would be no use


class StageError(LessonpipeError):
    """A stage failed; the message is the last line that it printed."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message if message.startswith(f"{stage}: ") else f"{stage}: {message}")
        self.stage = stage


class BusyError(StageError):
    """Another DVC command holds the lock of the same files; the stage did not start."""


class CrashError(StageError):
    """The stage's command failed in a way that its code does not expect, or was killed."""


class StoppedError(StageError):
    """The run was cancelled."""


@dataclass(frozen=True)
class Stage:
    """A stage, the stages it depends on, its outputs, and which of them are metrics files.

    `target` is DVC's address of the stage: its name, after its file where that is not dvc.yaml.
    """

    name: str
    target: str
    needs: tuple[str, ...] = ()
    outs: tuple[Path, ...] = ()
    metrics: tuple[Path, ...] = ()

    @property
    def images(self) -> list[Path]:
        """Outputs that are images, and the images that a lesson's result names."""
        lessons = [out for out in self.outs if (out / RESULT_FILE).is_file()]
        plots = [folder / plot.file for folder in lessons for plot in Result.read(folder).plots]
        return [path for path in (*self.outs, *plots) if path.suffix.lower() in IMAGE_SUFFIXES]


def dvc(*args: str | Path) -> str:
    """Run a DVC command and return its stdout. Raises `LessonpipeError` with its stderr."""
    command = [sys.executable, "-m", "dvc", *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LessonpipeError(f"{' '.join(command[2:5])}: {result.stderr.strip()}")
    return result.stdout


def read_stages() -> dict[str, Stage]:
    """All stages of this folder's project, the lessons' too, each after those that it needs.

    Raises `UserError` without a repository, and `LessonpipeError` when DVC cannot read them.
    """
    check_repository()
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
    """Return a sorter of the stages' names by what they need."""
    return TopologicalSorter({stage.name: stage.needs for stage in stages.values()})


def select_stages(stages: dict[str, Stage], names: Iterable[str] = ()) -> dict[str, Stage]:
    """The named stages and all that they depend on, in order; without names, all of dvc.yaml.

    Raises `UserError`, listing the right names, for a wrong one.
    """
    remaining = list(names) or [s.name for s in stages.values() if s.target == s.name]
    selected: set[str] = set()
    while remaining:
        name = remaining.pop()
        if name not in stages:
            raise one_of("stage", name, stages)
        selected.add(name)
        remaining += stages[name].needs
    return {name: stage for name, stage in stages.items() if name in selected}


class StageRunner:
    """Runs stages through DVC, from several threads if need be, and can end them all."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._lock = threading.Lock()

    def run(self, target: str, on_line: Callable[[str, Event | None], None]) -> str | None:
        """Bring one stage up to date; returns DVC's message if it did not have to run, else None.

        `on_line` is called with every line that DVC and the stage print, and with the event that
        the line was. Raises `StageError`.
        """
        lines: deque[str] = deque(maxlen=100)
        ran = False
        process = self._start(target)
        try:
            assert process.stdout
            for line in map(str.rstrip, process.stdout):
                if line:
                    ran = ran or line == f"Running stage '{target}':"
                    event = parse_event(line)
                    lines.append(line if event is None else str(event))
                    on_line(lines[-1], event)
            code = process.wait()
        finally:
            child_process.stop(process)
            self._processes.discard(process)
        if self._stopping:
            raise StoppedError(target, "stopped")
        if code:
            raise stage_error(target, list(lines), code)
        return None if ran else next((x for x in lines if "skipping" in x), "up to date")

    def stop(self) -> None:
        """End every running stage with all its processes, and let no other start."""
        with self._lock:
            self._stopping = True
            processes = list(self._processes)
        for process in processes:
            assert process.stdin
            process.stdin.close()  # all have their grace period at the same time
        for process in processes:
            child_process.stop(process)

    def _start(self, target: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", target]
        bin_folder = Path(sys.executable).parent  # of the `python` in the stages' commands
        env = os.environ | {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "DVC_NO_ANALYTICS": "1",
            **JSON_ENV,
        }
        with self._lock:
            if self._stopping:
                raise StoppedError(target, "stopped before it started")
            process = child_process.start(command, env=env, out=subprocess.PIPE)
            self._processes.add(process)
        return process


def stage_error(stage: str, lines: list[str], code: int) -> StageError:
    """The error for a failed `dvc repro`, from the lines that DVC and the stage printed."""
    output = [line for line in lines if not line.startswith("ERROR: ")]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if any(message in line for message in LOCK_MESSAGES for line in errors):
        return BusyError(stage, "another DVC command is at work on the same files")
    exits = re.search(r"failed to run: .*, exited with (-?\d+)$", "\n".join(errors), re.MULTILINE)
    if not exits:  # DVC itself refused
        return StageError(stage, errors[-1] if errors else f"dvc ended with code {code}")
    message = output[-1] if output and not output[-1].startswith("> ") else exits[0]
    return (StageError if int(exits[1]) == USER_ERROR else CrashError)(stage, message)
