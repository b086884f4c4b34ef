"""Restoring the files that one visitor chose: progress as it comes, and an end at any time."""

import copy
import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from lessonpipe.errors import LessonpipeError
from lessonpipe.inference.batch import RestoreOptions, restore_file
from lessonpipe.inference.decoder import Decoder
from lessonpipe.inference.lineage import of_model
from lessonpipe.inference.output import plan_outputs
from lessonpipe.inference.pixels import to_8_bits, to_pillow
from lessonpipe.inference.restorer import Progress, Restorer

State = Literal["waiting", "working", "restored", "failed", "stopped"]
PNG_PIXELS = 2_000_000  # previews of more are JPEGs: they travel to a browser
SHOWN_PX = 4000  # the longest side of a preview
TILE_PX = 768  # a row of such tiles takes seconds: progress is seen, and work ends soon
BEAT = 0.25  # seconds between two reports


@dataclass(frozen=True)
class Settings:
    """How pictures are restored: folders of one or two models, and what `Restorer` takes.

    Without `gps` the results do not say where they were taken.
    """

    models: tuple[Path, ...]
    strength: float = 1.0
    tone: float = 1.0
    scale: float = 1.0
    gps: bool = True


@dataclass(frozen=True)
class Item:
    """One picture: where it stands, and what is there of it.

    `files` are the restored ones and `after` their previews, one a model; `before` is a preview of
    the picture in the size that `after` has. `share` is how much is done, 0...1.
    """

    source: Path
    state: State = "waiting"
    share: float = 0.0
    note: str = ""
    files: tuple[Path, ...] = ()
    before: Path | None = None
    after: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What the visitor calls it."""
        return self.source.name


def restore_items(
    sources: Sequence[Path], settings: Settings, folder: Path
) -> Generator[tuple[Item, ...]]:
    """Restore files into `folder`, one after the other; yields all of them, again and again.

    A file that cannot be restored has the state "failed" and the reason as its note. Closing the
    iterator gives the picture at work up at the end of its row of tiles, and waits for that.
    """
    items = [Item(source) for source in sources]
    yield tuple(items)
    for number, item in enumerate(items):
        with closing(_watched(item, settings, folder / str(number))) as states:
            for state in states:
                items[number] = state
                yield tuple(items)


def _watched(item: Item, settings: Settings, folder: Path) -> Generator[Item]:
    """The item as it is every `BEAT` seconds while a thread restores it, and in the end."""
    shares: queue.SimpleQueue[float] = queue.SimpleQueue()
    stop = threading.Event()
    ended: list[Item] = []

    def advance(share: float) -> None:
        if stop.is_set():
            raise _StoppedError
        shares.put(share)

    def work() -> None:
        try:
            ended.append(_restored(item, settings, folder, advance))
        except _StoppedError:
            pass
        except LessonpipeError as error:
            reason = str(error).removeprefix(f"{item.source}: ")
            ended.append(replace(item, state="failed", note=reason))
        except Exception as error:  # one bad file ends no other, whatever it raises
            ended.append(replace(item, state="failed", note=f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        done = 0.0
        while thread.is_alive():
            yield replace(item, state="working", share=done)
            thread.join(BEAT)
            while not shares.empty():
                done = shares.get()
    finally:  # whoever comes next finds the cores and the memory free
        stop.set()
        thread.join()
    yield ended[0]


class _StoppedError(Exception):
    """The visitor left."""


def _restored(item: Item, settings: Settings, folder: Path, progress: Progress) -> Item:
    start = time.perf_counter()
    files, notes = [], []
    for number, model in enumerate(settings.models):

        def advance(share: float, number: int = number) -> None:
            progress((number + share) / len(settings.models))

        restorer = copy.copy(loaded(model))  # the network is shared
        restorer.strength, restorer.tone = settings.strength, settings.tone
        out = folder / str(number)
        out.mkdir(parents=True)
        (target,) = plan_outputs([str(item.source)], out).values()
        options = RestoreOptions(scale=settings.scale, gps=settings.gps, again=True)
        notes += restore_file(
            restorer,
            item.source,
            target,
            options,
            lineage=of_model(model),
            progress=advance,
            decoder=_decoder(),
        )
        files.append(target)
    after = tuple(
        save_preview(file, folder / f"after{number}") for number, file in enumerate(files)
    )
    with Image.open(after[0]) as first:
        before = save_preview(item.source, folder / "before", first.size)
    notes.append(f"{time.perf_counter() - start:.1f} s")
    return replace(
        item,
        state="restored",
        share=1.0,
        note="; ".join(dict.fromkeys(notes)),
        files=tuple(files),
        before=before,
        after=after,
    )


def loaded(model: Path) -> Restorer:
    """The restorer of a model folder, loaded once while its weights stay the same."""
    weights = model / "model.safetensors"
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _loaded(model.resolve(), changed)


@cache
def _decoder() -> Decoder:
    """One for all visitors, until the page ends: its processes end when their pipes do."""
    return Decoder()


@lru_cache(maxsize=3)
def _loaded(model: Path, changed: int) -> Restorer:
    restorer = Restorer(model)
    if restorer.exact_tiles:  # else a picture that fits in the memory is better made whole
        restorer.tile_px = TILE_PX
    return restorer


def save_preview(file: Path, stem: Path, size: tuple[int, int] | None = None) -> Path:
    """Write what a browser shows of a picture's first page, on white where it is transparent.

    In `size`, by default its own, but of at most `SHOWN_PX` a side.
    """
    (page,) = _decoder().read_pages(file, every=False)
    own = page.pixels.size
    shrink = min(1.0, SHOWN_PX / max(own))
    size = size or (max(1, round(own[0] * shrink)), max(1, round(own[1] * shrink)))
    picture = to_pillow(to_8_bits(page.pixels.resize(size))).convert("RGBA")
    shown = Image.new("RGBA", picture.size, "white")
    shown.alpha_composite(picture)
    small = picture.width * picture.height <= PNG_PIXELS
    path = stem.with_suffix(".png" if small else ".jpg")
    options: dict[str, Any] = {"compress_level": 1} if small else {"quality": 92}
    colors = page.metadata.icc if page.pixels.color.shape[2] == 3 else None
    shown.convert("RGB").save(path, icc_profile=colors, **options)
    return path
