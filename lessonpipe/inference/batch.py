"""Restoring files: each ends well or is named with its reason, and a killed run goes on."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from PIL import Image

from lessonpipe.data.formats import open_image
from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.inference.decode import MAX_BYTES, Page, Source, read_pages
from lessonpipe.inference.decoder import Decoder
from lessonpipe.inference.encode import Encoding, format_of, write_pages
from lessonpipe.inference.metadata import for_result, parse_software, software_tag
from lessonpipe.inference.output import FATAL
from lessonpipe.inference.pixels import Pixels, to_8_bits, to_pillow
from lessonpipe.inference.restorer import Progress, Restorer
from lessonpipe.io.atomic import atomic_file
from lessonpipe.io.hashing import sha256_file
from lessonpipe.io.journal import Journal

JOURNAL = ".lessonpipe.jsonl"  # in the folder of the results: which were begun and done, of what
INEXACT = "made in tiles: this network's attention looks at each of them alone, so they differ"
Status = Literal["restored", "skipped", "left", "failed"]


@dataclass(frozen=True)
class RestoreOptions:
    """What becomes of one file; `size` is (width, height), `quality` of lossy formats 1...100.

    `pages: all` keeps every page where a TIFF is written, `first` the first alone. `print_size`
    multiplies the dots per inch by the enlargement. `again` restores what lessonpipe restored.
    """

    scale: float = 1.0
    size: tuple[int, int] | None = None
    format: str | None = None
    quality: int | None = None
    pages: Literal["all", "first"] = "all"
    strip: bool = False
    gps: bool = True
    print_size: bool = False
    truncated: bool = False
    again: bool = False
    compare: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    source: str
    target: str
    status: Status
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0


class AlreadyRestoredError(UserError):
    """A picture that lessonpipe restored before."""


def restore_file(
    restorer: Restorer,
    source: Source,
    target: Path,
    options: RestoreOptions = RestoreOptions(),
    *,
    lineage: dict[str, Any] | None = None,
    progress: Progress | None = None,
    decoder: Decoder | None = None,
) -> list[str]:
    """Restore the file `source` into `target`, whole or not at all; returns notes for the person.

    When it returns the result is on the disk, even if the power fails then. `lineage` is written
    into the result's EXIF. A `decoder` reads the file in a process of its own, for pictures of
    unknown origin; by default this process does. Raises `PictureError` for what is no picture,
    `AlreadyRestoredError` for an earlier result, `UserError` for what cannot be done.
    """
    encoding = Encoding(options.format or format_of(target), options.quality)
    every = options.pages == "all" and encoding.format == "TIFF"
    software = None if lineage is None or options.strip else software_tag(lineage)
    compared: list[Image.Image] = []
    read = decoder.read_pages if decoder else read_pages

    def restored() -> Iterator[Page]:
        for page in read(source, every=every, truncated=options.truncated):
            if not options.again and parse_software(page.metadata.software):
                raise AlreadyRestoredError(
                    "lessonpipe restored it already; --again restores it once more"
                )
            pixels = restorer.restore_pixels(
                page.pixels, scale=options.scale, size=options.size, progress=progress
            )
            if options.compare and not compared:
                compared.append(_side_by_side(page.pixels, pixels))
            result = [_page_of_result(page, pixels, options, software)]
            if not restorer.exact_tiles and restorer.is_tiled(pixels.size):
                result[0] = replace(result[0], notes=(*result[0].notes, INEXACT))
            del page, pixels  # while it is written, a large picture is in memory once
            yield result.pop()

    with atomic_file(target, fsync=True) as draft:
        notes = write_pages(draft, restored(), encoding)
        if compared:
            beside = target.with_name(f"{target.stem}-compare.jpg")
            with atomic_file(beside, fsync=True) as sheet:
                compared[0].save(sheet, "JPEG", quality=90)
    return notes


def _page_of_result(
    page: Page, pixels: Pixels, options: RestoreOptions, software: str | None
) -> Page:
    scale = pixels.size[0] / page.pixels.size[0] if options.print_size else 1.0
    said = for_result(
        page.metadata,
        pixels.size,
        software=software,
        scale=scale,
        strip=options.strip,
        gps=options.gps,
    )
    if pixels.color.shape[2] != page.pixels.color.shape[2]:
        said = replace(said, icc=None)  # a grey profile says nothing of colours
    return replace(page, pixels=pixels, metadata=said)


def _side_by_side(before: Pixels, after: Pixels) -> Image.Image:
    """Both, enlarged to one size, as RGB on white."""
    pictures = [to_pillow(to_8_bits(p)).convert("RGBA") for p in (before.resize(after.size), after)]
    width, height = after.size
    sheet = Image.new("RGBA", (2 * width + 8, height), "white")
    for x, picture in zip((0, width + 8), pictures, strict=True):
        sheet.alpha_composite(picture, (x, 0))
    return sheet.convert("RGB")


@dataclass(frozen=True)
class Task:
    """A picture to restore; `stamp` is which file stood in the target's place when it was planned.

    With another stamp the target is another process's work by now.
    """

    source: Path
    target: Path
    stamp: tuple[int, int] | None


@dataclass(frozen=True)
class Batch:
    """Files to restore into the folder `out`, by source; settings are the same for all.

    An interrupted batch goes on: what its journal says is done, of the same source, model and
    settings, is skipped if it is whole. Other files in the way are replaced with `overwrite`, left
    with `skip_existing`, and else refused before anything is done. Of two batches into one folder
    each picture is restored by one.
    """

    targets: dict[Path, Path]
    out: Path
    options: RestoreOptions
    lineage: dict[str, Any]
    note: bool = True
    strength: float = 1.0
    tone: float = 1.0
    overwrite: bool = False
    skip_existing: bool = False

    def plan(self) -> tuple[list[Task], list[Outcome]]:
        """Returns what is to be done, and outcomes of what is skipped.

        Raises `UserError` when files that are no earlier results would be replaced.
        """
        # before the journal is read: whatever another batch writes meanwhile has its line there
        tasks = [Task(source, target, _stamp(target)) for source, target in self.targets.items()]
        rows = [row for row in self._journal.read() if isinstance(row.get("name"), str)]
        state = {row["name"]: row for row in rows}
        todo, skipped, foreign = [], [], []
        for task in tasks:
            source, target = task.source, task.target
            if self.overwrite or task.stamp is None:
                todo.append(task)
                continue
            row = state.get(self._name(target), {})
            own = not self.skip_existing and "key" in row and row["key"] == self._key(source)
            if self.skip_existing or (own and row.get("done") and _is_whole(target, row)):
                skipped.append(Outcome(str(source), str(target), "skipped"))
            elif own:  # killed between the file and the journal's line, or the disk lost it
                todo.append(task)
            else:
                foreign.append(target)
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise UserError(
                f"{foreign[0]}{more} would be replaced; choose another folder with -o, or add "
                "--overwrite or --skip-existing"
            )
        return todo, skipped

    def run(
        self,
        restorer: Restorer,
        todo: Sequence[Task],
        *,
        decoder: Decoder | None = None,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> Iterator[Outcome]:
        """Restore, `jobs` pictures at a time; yields the outcome of each as it ends.

        Files are read by the `decoder`, by default one for this run. `progress` is called with the
        pictures' worth of work that is newly done. Raises `UserError` when the disk is full or
        cannot be written.
        """
        stop = threading.Event()
        with nullcontext(decoder) if decoder else Decoder() as reader:

            def one(task: Task) -> Outcome:
                with self._claim(task) as claimed:
                    if claimed:
                        return self._one(restorer, reader, task, stop, progress)
                if progress:
                    progress(1.0)
                note = "another process restores it"
                return Outcome(str(task.source), str(task.target), "skipped", [note])

            if jobs == 1 or len(todo) < 2:
                yield from map(one, todo)
                return
            with _shared_by(jobs, restorer), ThreadPoolExecutor(jobs) as pool:
                futures = [pool.submit(one, task) for task in todo]
                try:
                    for future in as_completed(futures):
                        yield future.result()
                except BaseException:
                    stop.set()
                    pool.shutdown(cancel_futures=True)
                    raise

    @contextmanager
    def _claim(self, task: Task) -> Iterator[bool]:
        """Whether nobody else restores a picture during the block, or did since it was planned."""
        name = hashlib.sha256(os.fsencode(self._name(task.target))).hexdigest()[:16]
        lock = FileLock(self.out / f".lessonpipe-{name}.lock", blocking=False)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise self._disk_error(error) from error
        try:
            yield _stamp(task.target) == task.stamp
        finally:
            with suppress(OSError):  # Windows keeps what is locked
                os.unlink(lock.lock_file)
            lock.release()

    def _one(
        self,
        restorer: Restorer,
        decoder: Decoder,
        task: Task,
        stop: threading.Event,
        progress: Progress | None,
    ) -> Outcome:
        source, target = task.source, task.target
        start, reached = time.perf_counter(), 0.0

        def advance(share: float) -> None:
            nonlocal reached
            if stop.is_set():
                raise _StoppedError
            if progress:
                progress(max(0.0, share - reached))
            reached = max(reached, share)

        status: Status = "restored"
        notes: list[str] = []
        reason = None
        try:
            row = {"name": self._name(target), "key": self._key(source)}
            self._journal.append({**row, "done": False})
            notes = restore_file(
                restorer,
                source,
                target,
                self.options,
                lineage=self.lineage if self.note else None,
                progress=advance,
                decoder=decoder,
            )
            size = target.stat().st_size
            self._journal.append({**row, "done": True, "bytes": size}, fsync=True)
        except AlreadyRestoredError as error:
            status, reason = "left", str(error)
        except LessonpipeError as error:
            status, reason = "failed", str(error)
        except OSError as error:
            if error.errno in FATAL:
                raise self._disk_error(error) from error
            status, reason = "failed", f"{error.strerror or error}"
        except _StoppedError:
            raise
        except Exception as error:  # one bad file never ends a batch, whatever it raises
            status, reason = "failed", f"{type(error).__name__}: {error}"
        if progress:
            progress(1 - reached)
        if reason and not reason.startswith(str(source)):
            reason = f"{source}: {reason}"
        seconds = time.perf_counter() - start
        return Outcome(str(source), str(target), status, notes, reason, seconds)

    def _disk_error(self, error: OSError) -> UserError:
        """The reason to end the batch: every picture would fail as this one did."""
        with suppress(OSError):
            if not any(row.get("done") for row in self._journal.read()):
                self._journal.path.unlink(missing_ok=True)  # nothing to go on from
        return UserError(
            f"{error.strerror or error}; look at the disk of {self.out}, then run it again"
        )

    @property
    def _journal(self) -> Journal:
        return Journal(self.out / JOURNAL)

    def _name(self, target: Path) -> str:
        return os.path.relpath(target, self.out)

    def _key(self, source: Path) -> str:
        """The same while the source's bytes, the model and the settings are."""
        settings = [asdict(self.options), self.strength, self.note, self.lineage.get("weights")]
        settings += [self.tone] if self.tone != 1 else []  # journals of before it have none
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        with suppress(OSError):  # what cannot be read is named in its turn
            if source.stat().st_size <= MAX_BYTES:
                digest.update(sha256_file(source).encode())
        return digest.hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int] | None:
    """Which file this is, and when it was written; None if it is not there."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _is_whole(target: Path, row: Mapping[str, Any]) -> bool:
    """Whether a result that the journal calls done is one, or what somebody made of it since.

    After a power cut it may be cut off, or hold zeros, on disks that do not keep what is synced.
    """
    try:
        with open(target, "rb") as stream:
            if not any(stream.read(16)):
                return False
        if target.stat().st_size == row.get("bytes"):
            return True
        with open_image(target, str(target)) as picture:
            picture.load()
    except Exception:  # decoders of damaged files raise what they like
        return False
    return True


class _StoppedError(Exception):
    """The batch ends; this picture is not finished."""


@contextmanager
def _shared_by(jobs: int, restorer: Restorer) -> Iterator[None]:
    """Share cores and memory between pictures that are restored at the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // jobs))
    restorer.jobs = jobs
    try:
        yield
    finally:
        torch.set_num_threads(before)
        restorer.jobs = 1
