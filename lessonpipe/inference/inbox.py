"""An inbox folder: each new picture is restored once, however often the run is killed."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from filelock import FileLock

from lessonpipe.errors import LessonpipeError, PictureError, UserError
from lessonpipe.inference.decode import MAX_BYTES
from lessonpipe.inference.lineage import of_model
from lessonpipe.inference.metadata import read_lineage
from lessonpipe.inference.output import FATAL, plan_outputs
from lessonpipe.io.atomic import atomic_write
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal
from lessonpipe.io.printable import printable

JOURNAL = ".restored.jsonl"  # in the outbox
QUARANTINE = "quarantine.txt"  # in the outbox, for people: what is not tried again, and why
SETTLED_SECONDS = 2.0  # a file that was changed later than this may still be being written
MAX_TRIES = 3  # of a picture that fails for a reason that may pass


@dataclass(frozen=True)
class Processed:
    """A picture of the inbox by its name in the outbox: its SHA-256, and why it failed if so.

    A file that was not read has its size and time in the place of the hash. `final` is whether it
    is not tried again before it is changed.
    """

    name: str
    sha256: str
    error: str | None = None
    final: bool = True


def restore_new(
    inbox: Path,
    outbox: Path,
    model: Path,
    *,
    scale: float = 1.0,
    gps: bool = True,
    settled: float = SETTLED_SECONDS,
    log: Callable[[str], None] = print,
) -> list[Processed]:
    """Restore the pictures of `inbox` that are new or were changed, and return them.

    Each is decoded in a process of its own. What is no picture is reported once; what fails for
    another reason is tried in `MAX_TRIES` runs; then it stands in the outbox's `quarantine.txt`
    until it is changed. Links that lead out of the inbox are not followed. Files changed less than
    `settled` seconds ago are left for the next run. Of two runs at the same time the second waits.
    Without `gps` the results do not say where they were taken. `log` gets a line for each picture.
    Raises `UserError` when the inbox is no folder, the model is none, or the disk is full.
    """
    if not inbox.is_dir():
        raise UserError(f"{inbox} is no folder")
    outbox.mkdir(parents=True, exist_ok=True)
    with FileLock(outbox / ".lock"):
        waiting = _waiting(inbox, outbox, settled)
        first = next(waiting, None)
        if first is None:
            return []
        from lessonpipe.inference.batch import RestoreOptions, restore_file  # loads torch
        from lessonpipe.inference.decoder import Decoder
        from lessonpipe.inference.restorer import Restorer

        options = RestoreOptions(scale=scale, gps=gps, again=True)
        results = []
        with Decoder() as decoder:
            restorer, lineage = Restorer(model), of_model(model)
            for source, target, digest, tries in chain([first], waiting):
                error, final = None, True
                try:
                    _check(source, inbox)
                    if not _is_made_of(target, digest):  # else killed before its journal's line
                        tag = {**lineage, "source": digest}
                        restore_file(
                            restorer, source, target, options, lineage=tag, decoder=decoder
                        )
                except Exception as wrong:  # one bad file never blocks the folder
                    error = _reason(wrong, source, outbox)
                    final = _is_final(wrong) or tries + 1 >= MAX_TRIES
                results.append(Processed(_name(target, outbox), digest, error, final))
                Journal(outbox / JOURNAL).append(asdict(results[-1]), fsync=True)
                log(
                    f"not restored: {error}"
                    if error
                    else f"restored {printable(str(source))} into {printable(str(target))}"
                )
        _write_quarantine(outbox)
        return results


def processed(outbox: Path) -> list[Processed]:
    """All that was restored or failed so far, oldest first."""
    rows = Journal(outbox / JOURNAL).read()
    return [
        Processed(row["name"], row["sha256"], row.get("error"), row.get("final", True))
        for row in rows
        if isinstance(row.get("name"), str) and isinstance(row.get("sha256"), str)
    ]


def _waiting(inbox: Path, outbox: Path, settled: float) -> Iterator[tuple[Path, Path, str, int]]:
    """Source, target, SHA-256 and number of failed tries of each picture that is to be restored."""
    tried: dict[str, list[Processed]] = defaultdict(list)
    for done in processed(outbox):
        tried[done.name].append(done)
    for source, target in plan_outputs([str(inbox)], outbox).items():
        try:
            status = source.stat()
        except OSError:
            continue  # it vanished, or its link leads nowhere
        if not _is_settled(status, settled):
            continue
        digest = _digest(source, status, inbox)
        rows = tried[_name(target, outbox)]
        if not (rows and rows[-1].sha256 == digest and rows[-1].final):
            same = [row.sha256 == digest and row.error is not None for row in reversed(rows)]
            yield source, target, digest, (*same, False).index(False)


def _is_settled(status: os.stat_result, settled: float) -> bool:
    """Whether nobody writes a file any more, whatever its camera or server took for the time."""
    now = time.time()
    for changed in (status.st_mtime, status.st_ctime):  # a copy may have any date, but was made now
        if changed - now < settled:
            return now - changed >= settled
    return True


def _digest(source: Path, status: os.stat_result, inbox: Path) -> str:
    """The SHA-256 of a file; size and time of one that is not to be read, or cannot be."""
    if status.st_size <= MAX_BYTES and _is_within(source, inbox):
        with suppress(OSError):
            return sha256_file(source)
    return f"{status.st_size} bytes of {status.st_mtime_ns}"


def _is_within(source: Path, inbox: Path) -> bool:
    return source.resolve().is_relative_to(inbox.resolve())


def _check(source: Path, inbox: Path) -> None:
    """Raise `PictureError` for a link out of the inbox, `OSError` for what cannot be opened."""
    if not _is_within(source, inbox):
        raise PictureError(f"{source}: a link out of the inbox, which is not followed")
    with open(source, "rb"):
        pass


def _reason(wrong: Exception, source: Path, outbox: Path) -> str:
    """Why a picture failed, in a line. Raises `UserError` where every picture would fail."""
    if isinstance(wrong, OSError) and wrong.errno in FATAL:
        raise UserError(
            f"{wrong.strerror}; look at the disk of {outbox}, then run it again"
        ) from wrong
    if isinstance(wrong, LessonpipeError):
        text = str(wrong)
    elif isinstance(wrong, OSError):
        text = wrong.strerror or str(wrong)
    else:
        text = f"{type(wrong).__name__}: {wrong}"
    return printable(text if text.startswith(str(source)) else f"{source}: {text}")


def _is_final(wrong: Exception) -> bool:
    """Whether a picture would fail again: not after a crash, a time-out or an error of a disk."""
    from lessonpipe.inference.decoder import DecodeLimitError

    return isinstance(wrong, LessonpipeError) and not isinstance(wrong, DecodeLimitError)


def _write_quarantine(outbox: Path) -> None:
    """Write which pictures are not tried again, a line each; no list if there are none."""
    last = {done.name: done for done in processed(outbox)}
    lines = [
        f"{printable(name)}: {done.error}\n"
        for name, done in sorted(last.items())
        if done.error and done.final
    ]
    if lines:
        atomic_write(outbox / QUARANTINE, "".join(lines))
    else:
        (outbox / QUARANTINE).unlink(missing_ok=True)


def _name(target: Path, outbox: Path) -> str:
    return target.relative_to(outbox).as_posix()


def _is_made_of(target: Path, digest: str) -> bool:
    try:
        return bool(read_lineage(target).get("source") == digest)
    except (LessonpipeError, OSError):
        return False
