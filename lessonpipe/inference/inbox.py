"""An inbox folder: each new picture is restored once, however often the run is killed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.inference.lineage import of_model
from lessonpipe.inference.metadata import read_lineage
from lessonpipe.inference.output import plan_outputs
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal

JOURNAL = ".restored.jsonl"  # in the outbox
SETTLED_SECONDS = 2.0  # a file that was changed later than this may still be being written


@dataclass(frozen=True)
class Processed:
    """A picture of the inbox by its name in the outbox: its SHA-256, and why it failed if so."""

    name: str
    sha256: str
    error: str | None = None


def restore_new(
    inbox: Path,
    outbox: Path,
    model: Path,
    *,
    scale: float = 1.0,
    settled: float = SETTLED_SECONDS,
    log: Callable[[str], None] = print,
) -> list[Processed]:
    """Restore the pictures of `inbox` that are new or were changed, and return them.

    A picture that cannot be read is reported once, and tried again when it was changed. Files
    changed less than `settled` seconds ago are left for the next run. Of two runs at the same time
    the second waits. `log` gets a line for each picture. Raises `UserError` when the inbox is no
    folder or the model is none.
    """
    if not inbox.is_dir():
        raise UserError(f"{inbox} is no folder")
    outbox.mkdir(parents=True, exist_ok=True)
    with FileLock(outbox / ".lock"):
        waiting = list(_waiting(inbox, outbox, settled))
        if not waiting:
            return []
        from lessonpipe.inference.batch import FATAL, RestoreOptions, restore_file  # loads torch
        from lessonpipe.inference.restorer import Restorer

        restorer, lineage, results = Restorer(model), of_model(model), []
        options = RestoreOptions(scale=scale, again=True)
        for source, target, digest in waiting:
            error = None
            if not _is_made_of(target, digest):  # else a run was killed before its journal's line
                try:
                    tag = {**lineage, "source": digest}
                    restore_file(restorer, source, target, options, lineage=tag)
                except LessonpipeError as wrong:
                    error = str(wrong)
                except Exception as wrong:  # one bad file never blocks the folder
                    if isinstance(wrong, OSError) and wrong.errno in FATAL:
                        raise
                    error = f"{source}: {type(wrong).__name__}: {wrong}"
            results.append(Processed(_name(target, outbox), digest, error))
            Journal(outbox / JOURNAL).append(asdict(results[-1]))
            log(f"not restored: {error}" if error else f"restored {source} into {target}")
        return results


def processed(outbox: Path) -> list[Processed]:
    """All that was restored or failed so far, oldest first."""
    rows = Journal(outbox / JOURNAL).read()
    return [Processed(row["name"], row["sha256"], row.get("error")) for row in rows]


def _waiting(inbox: Path, outbox: Path, settled: float) -> Iterator[tuple[Path, Path, str]]:
    """Source, target and SHA-256 of each picture whose present bytes were not processed."""
    last = {done.name: done.sha256 for done in processed(outbox)}
    for source, target in plan_outputs([str(inbox)], outbox).items():
        if time.time() - source.stat().st_mtime < settled:
            continue
        digest = sha256_file(source)
        if last.get(_name(target, outbox)) != digest:
            yield source, target, digest


def _name(target: Path, outbox: Path) -> str:
    return target.relative_to(outbox).as_posix()


def _is_made_of(target: Path, digest: str) -> bool:
    try:
        return bool(read_lineage(target).get("source") == digest)
    except (LessonpipeError, OSError):
        return False
