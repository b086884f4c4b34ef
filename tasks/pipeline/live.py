"""A training's curves while it runs, by DVCLive: for `dvc plots`, and a page that refreshes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lessonpipe.io.atomic import atomic_write

if TYPE_CHECKING:
    from dvclive import Live

SECONDS = 1.0  # at least, between two points of a curve
PAGE_SECONDS = 5.0  # and between two states of the page, which asks for it as often
PAGE_SHARE = 0.01  # of the time, at most, goes into the page: it holds all points


class LiveCurves:
    """A `Callback` that writes the losses of steps, and each epoch's validation, into `folder`.

    `train/...` are means over the steps since the point before, `valid/...` those of the history;
    both are by steps from the start of the training. A `run` that goes on from a checkpoint keeps
    its curves up to there. Without a folder nothing is written; nor any more after an error, which
    is told once: curves are worth no training. `report` gets each epoch's row in any case.
    """

    def __init__(
        self,
        folder: Path | None,
        run: str,
        report: Callable[[dict[str, float]], None] = lambda row: None,
    ) -> None:
        self.folder, self.run, self.report = folder, run, report
        self._live: Live | None = None
        self._step = 0
        self._losses: Callable[[], dict[str, float]] = dict
        self._due = self._page_due = 0.0

    def on_train_start(self, step: int) -> None:
        """Open the folder; nothing of it stays but this run's points up to `step`."""
        self._step = step
        if self.folder is not None:
            self._guard(lambda: self._open(step))

    def on_step_end(self, losses: Callable[[], dict[str, float]]) -> None:
        """Write a point if the last one is a second old."""
        self._step += 1
        self._losses = losses
        if self._live and time.monotonic() >= self._due:
            self._write(losses())

    def on_validation_end(self, row: dict[str, float]) -> None:
        """Write a point of the steps that are left, and the validation."""
        if self._live:
            valid = {name: value for name, value in row.items() if name.startswith("valid_")}
            self._write(self._losses() | valid)

    def on_epoch_end(self, row: dict[str, float]) -> None:
        """Report the row of the history."""
        self.report(row)

    def on_train_end(self) -> None:
        """Bring the page up to date."""
        self._guard(self._write_page)

    def _open(self, step: int) -> None:
        assert self.folder is not None
        mark = self.folder / "run"
        resume = step > 0 and mark.is_file() and mark.read_text() == self.run
        if resume:
            _cut(self.folder, step)
        self._live = _open_live(self.folder, resume=resume)
        atomic_write(mark, self.run)

    def _write(self, values: dict[str, float]) -> None:
        live = self._live
        assert live is not None

        def write() -> None:
            live.step = self._step
            for name, value in values.items():
                live.log_metric(name.replace("_", "/", 1), value)
            if time.monotonic() >= self._page_due:
                self._write_page()

        self._guard(write)
        self._due = time.monotonic() + SECONDS

    def _write_page(self) -> None:
        if self._live is None:
            return
        start = time.monotonic()
        self._live.make_summary()
        self._live.make_report()
        end = time.monotonic()
        self._page_due = end + max(PAGE_SECONDS, (end - start) / PAGE_SHARE)

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            self._live = None
            print(f"no more curves in {self.folder}: {error}", flush=True)


def _open_live(folder: Path, *, resume: bool) -> "Live":
    """A logger that writes files into `folder` and does no more."""
    os.environ.setdefault("DVC_STUDIO_OFFLINE", "1")  # nothing is sent anywhere
    from dvclive import Live

    class FilesOnly(Live):
        """Live as it is looks for git and DVC, and makes a DVC repository where it finds none."""

        def _init_dvc(self) -> None:
            pass

    return FilesOnly(str(folder), resume=resume, report="html", save_dvc_exp=False, dvcyaml=None)


def _cut(folder: Path, step: int) -> None:
    """Take points after `step` out of the curves, and a line that a kill left unfinished."""
    for path in folder.glob("plots/metrics/**/*.tsv"):
        header, *rows = path.read_text().splitlines(keepends=True) or [""]
        kept = [row for row in rows if row.endswith("\n") and int(row.split("\t")[0]) <= step]
        if kept:
            atomic_write(path, "".join([header, *kept]))
        else:
            path.unlink()
    (folder / "metrics.json").unlink(missing_ok=True)  # it may be unfinished, too
