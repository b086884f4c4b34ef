"""What is called done is whole after a power cut, on a real disk that loses what was not synced."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Pair, Split
from lessonpipe.io.atomic import atomic_folder, atomic_link, read_json, write_json
from lessonpipe.io.journal import Journal
from tasks.pipeline import journal
from tasks.pipeline.journal import PairsDraft
from tests.disk import CUTS, Disk, disk
from tests.forked import Forked

__all__ = ["disk"]

PHOTOS = [f"{i:03d}.jpg" for i in range(300)]


def pairs_of(photo: str) -> PhotoPairs:
    good, crappy = (photo.encode() * size for size in (900, 300))
    digest = hashlib.sha256(good + crappy).hexdigest()
    names = f"good/{photo}/000.jpg", f"crappy/{photo}/000.jpg"
    pair = Pair(f"{photo}/000", photo, photo, "train", *names, digest)
    source = hashlib.sha256(photo.encode()).hexdigest()
    return PhotoPairs(photo, source, [pair], dict(zip(names, (good, crappy), strict=True)))


def make_pairs(photos: Path, out: Path, pause: float, synced: bool) -> None:
    """What crappify does with its draft, as slowly as photos take."""
    if not synced:
        journal.sync_files = lambda *_, **__: None
    draft = PairsDraft.find(out, "key")
    splits: dict[str, Split] = dict.fromkeys(PHOTOS, "train")
    done = draft.done(photos, splits)
    print("ready", len(done), flush=True)
    for photo in PHOTOS:
        if photo not in done:
            draft.add(pairs_of(photo))
            time.sleep(pause)
    draft.commit()
    write_json(draft.folder / "manifest.json", PHOTOS)
    draft.publish(out)


def broken(folder: Path, pairs: list[Pair]) -> list[str]:
    """The pairs of which a file is not there or not whole."""
    digests = {}
    for pair in pairs:
        files = [folder / pair.good, folder / pair.crappy]
        content = b"".join(path.read_bytes() if path.is_file() else b"" for path in files)
        digests[pair.name] = hashlib.sha256(content).hexdigest() == pair.sha256
    return [name for name, whole in digests.items() if not whole]


@pytest.mark.slow
@pytest.mark.parametrize("synced", [True, False])
def test_all_photos_in_crappifys_journal_are_whole_after_twenty_power_cuts(
    disk: Disk, tmp_path: Path, synced: bool
) -> None:
    photos, out = tmp_path / "photos", disk.place / "data/crappify"
    photos.mkdir()
    for name in PHOTOS:
        (photos / name).write_text(name)
    kept, lost = [], 0
    for _ in disk.run_with_cuts(tmp_path, make_pairs, photos, out, 0.005, synced):
        draft = next(out.parent.glob(".crappify-key-*.draft"), out)
        rows = Journal(draft / "done.jsonl").read()
        kept.append(len(rows))
        lost += len(broken(draft, [Pair(**row["pairs"][0]) for row in rows]))
        if lost and not synced:
            return  # without the syncs the same cuts do break files
    assert synced and not lost
    assert kept == sorted(kept) and kept[-1] > kept[0]
    Forked(tmp_path, "last", make_pairs, photos, out, 0.0, True).finish()
    disk.cut()
    disk.unmount()
    disk.mount()
    assert read_json(out / "manifest.json") == PHOTOS
    assert not broken(out, [pair for photo in PHOTOS for pair in pairs_of(photo).pairs])
    assert [path.name for path in out.parent.iterdir()] == ["crappify"]


def promote(models: Path) -> None:
    """What a stage and then the registry do: a model folder, a link to it, a line in the log."""
    log = Journal(models / "log.jsonl")
    count = len(log.read())
    print("ready", count, flush=True)
    while True:
        count += 1
        with atomic_folder(models / "trained", fsync=True) as draft:
            (draft / "critic").mkdir()
            for name in ("model.safetensors", "critic/model.safetensors"):
                (draft / name).write_bytes(count.to_bytes(4, "big") * 5_000)
        with atomic_folder(models / f"versions/v{count}", fsync=True) as draft:
            shutil.copytree(models / "trained", draft, dirs_exist_ok=True)
        atomic_link(models / "in-service", Path(f"versions/v{count}"), fsync=True)
        write_json(models / "metrics.json", [count] * 1_000, fsync=True)
        log.append({"version": count}, fsync=True)


@pytest.mark.slow
def test_what_the_log_calls_in_service_is_whole_after_twenty_power_cuts(
    disk: Disk, tmp_path: Path
) -> None:
    models = disk.place / "models"
    versions = []

    def number_in(path: Path) -> int:
        content = path.read_bytes()
        assert content == content[:4] * 5_000
        return int.from_bytes(content[:4], "big")

    for _ in disk.run_with_cuts(tmp_path, promote, models):
        version = max((row["version"] for row in Journal(models / "log.jsonl").read()), default=0)
        versions.append(version)
        if version:
            # each was written once more at most before the power went
            weights = ("model.safetensors", "critic/model.safetensors")
            for folder in ("trained", "in-service"):
                found = {number_in(models / folder / name) for name in weights}
                assert found in ({version}, {version + 1}), folder
            (written,) = set(read_json(models / "metrics.json"))
            assert written in (version, version + 1)
            assert all(
                number_in(models / f"versions/v{i + 1}" / weights[1]) for i in range(version)
            )
    assert versions == sorted(versions) and versions[-1] >= CUTS / 2, versions
