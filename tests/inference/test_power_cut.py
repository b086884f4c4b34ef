"""Pictures that a journal calls restored are whole after a power cut."""

import time
from pathlib import Path

import pytest
from PIL import Image

from lessonpipe.inference import batch
from lessonpipe.inference.inbox import processed, restore_new
from tests.conftest import make_picture
from tests.disk import Disk, disk

__all__ = ["disk"]
PICTURES = 40


def watch(inbox: Path, outbox: Path, model: Path, synced: bool) -> None:
    """Restore what is new, as a watched folder does."""
    if not synced:
        real = batch.atomic_file
        batch.atomic_file = lambda path, **_: real(path)  # type: ignore[assignment]

    def say(line: str) -> None:
        if "000" not in line:  # a journal with lines of its own, and a loaded network
            print("ready", line, flush=True)
        time.sleep(0.02)

    restore_new(inbox, outbox, model, settled=0, log=say)
    print("ready: all", flush=True)
    time.sleep(60)


def broken(outbox: Path) -> list[str]:
    """The pictures that the journal calls restored and that cannot be opened."""
    names = []
    for done in processed(outbox):
        try:
            with Image.open(outbox / done.name) as picture:
                picture.load()
        except OSError:
            names.append(done.name)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("synced", [True, False])
def test_all_pictures_that_the_journal_calls_restored_are_whole_after_power_cuts(
    disk: Disk, tmp_path: Path, model: Path, synced: bool
) -> None:
    inbox, outbox = tmp_path / "inbox", disk.place / "out"
    inbox.mkdir()
    for i in range(PICTURES):
        make_picture(60, 40, seed=i).save(inbox / f"{i:03d}.png")
    kept = []
    for _ in disk.run_with_cuts(tmp_path, watch, inbox, outbox, model, synced, cuts=8):
        lost = broken(outbox)
        kept.append(len(processed(outbox)))
        if lost and not synced:
            return  # without the syncs the same cuts do break files
        assert not lost
    assert synced and kept == sorted(kept) and kept[-1] > kept[0]
