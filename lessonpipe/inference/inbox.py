"""Restore what is new in a folder, each picture once, however often and wherever it is killed."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from lessonpipe import lineage
from lessonpipe.data.photos import open_photo
from lessonpipe.errors import LessonpipeError, PictureError, UserError
from lessonpipe.inference.output import plan_outputs, save_image
from lessonpipe.io.atomic import append_line

LEDGER = ".restored.jsonl"  # in the outbox: which file, of which bytes, and why not
SETTLED_SECONDS = 2.0  # a file that was changed later than this may still be being written


@dataclass(frozen=True)
class Seen:
    """A picture of the inbox that was dealt with: its bytes' sha256, and why it failed if so."""

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
    tell: Callable[[str], None] = print,
) -> list[Seen]:
    """Restore the pictures of `inbox` that are new or were changed; answers with those.

    One that cannot be read is named once, and tried again when it was changed. A run beside
    another waits. Raises `UserError` when the inbox is no folder or the model is none.
    """
    if not inbox.is_dir():
        raise UserError(f"{inbox} is no folder")
    outbox.mkdir(parents=True, exist_ok=True)
    with FileLock(outbox / ".lock"):
        return list(_new(inbox, outbox, model, scale, settled, tell))


def _new(
    inbox: Path,
    outbox: Path,
    model: Path,
    scale: float,
    settled: float,
    tell: Callable[[str], None],
) -> Iterator[Seen]:
    known = {seen.name: seen.sha256 for seen in ledger(outbox)}  # of each name the last
    waiting = []
    for source, target in plan_outputs([str(inbox)], outbox).items():
        if time.time() - source.stat().st_mtime < settled:
            continue  # the next run's
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if known.get(_name(target, outbox)) != digest:
            waiting.append((source, target, digest))
    if not waiting:
        return
    from lessonpipe.inference.restorer import Restorer  # loads torch: not for nothing

    restorer, note = Restorer(model), lineage.software_tag(model)
    for source, target, digest in waiting:
        error = None
        if not _made_of(target, digest):  # else it was killed before it could note it
            try:
                made = restorer(open_photo(source), scale=scale)
                exif = lineage.exif(source, lineage.with_source(note, digest))
                save_image(made, target, exif=exif, icc=lineage.icc_profile(source))
            except (PictureError, UserError) as wrong:
                error = str(wrong)
        seen = Seen(_name(target, outbox), digest, error)
        append_line(outbox / LEDGER, json.dumps(asdict(seen)))
        tell(f"not restored: {error}" if error else f"restored {source} into {target}")
        yield seen


def ledger(outbox: Path) -> list[Seen]:
    """What was dealt with so far."""
    path, found = outbox / LEDGER, []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(Seen(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # the line that was being written
    return found


def _name(target: Path, outbox: Path) -> str:
    return target.relative_to(outbox).as_posix()


def _made_of(target: Path, digest: str) -> bool:
    try:
        return bool(lineage.of_picture(target).get("source") == digest)
    except (LessonpipeError, OSError):
        return False
