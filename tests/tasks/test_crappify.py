"""The crappify stage on a real Ray: the same on any number of workers, and after any kill."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lessonpipe import cluster
from lessonpipe.crappify import Recipe
from lessonpipe.crappify.pairs import PhotoPairs
from lessonpipe.data.manifest import Manifest, Split
from lessonpipe.data.photos import open_photo
from lessonpipe.errors import UserError
from tasks import crappify
from tasks.pipeline.journal import PairsDraft, write_files
from tests.conftest import make_picture, saved_pairs

Photos = Callable[..., Path]


def params(**changes: Any) -> crappify.Params:
    tiles = {"tile_px": 48, "train": 2, "valid": 1}
    given = {"seed": 3, "recipe": [{"resize": {"shorter": 24}}, "text", "jpeg"], "tiles": tiles}
    return crappify.Params(**{**given, "group_pattern": None, "valid_share": 0.4, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Manifest, dict[str, str], Path]]:
    """Runs the stage on a folder of photos; answers with manifest, failed.json and folder."""

    def run(photos: Path, **changes: Any) -> tuple[Manifest, dict[str, str], Path]:
        out = tmp_path / "crappify"
        crappify.run(params(**changes), photos, out)
        return Manifest.read(out), json.loads((out / "failed.json").read_text()), out

    return run


Make = Callable[..., tuple[Manifest, dict[str, str], Path]]


def test_one_worker_and_three_leave_the_same_bytes(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos(7)
    make_picture(100, 60).save(folder / "100% ü.png")
    for workers in ("1", "3"):
        monkeypatch.setenv("LESSONPIPE_WORKERS", workers)
        crappify.run(params(), folder, tmp_path / workers)
    one, three = contents(tmp_path / "1"), contents(tmp_path / "3")
    assert one == three
    assert len(one) == 2 + 2 * (2 * 5 + 3)  # manifest, failed; good and crappy of 5 and 3 photos


STEPS = """
import os, signal, time
from pathlib import Path
from lessonpipe.errors import UserError

def killer(picture, rng, flag):
    "Kill the own process, once."
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return picture

def counted(picture, rng, dies_after):
    "Leave a mark for each picture; kill the whole stage after so many."
    folder = os.environ["MARKS"]
    Path(folder, f"{time.time_ns()}-{os.getpid()}").touch()
    if len(os.listdir(folder)) == dies_after:
        os.kill(int(os.environ["STAGE_PID"]), signal.SIGKILL)
        time.sleep(5)
    return picture

def faulty(picture, rng):
    raise UserError("this step wants larger pictures")
"""


def with_steps(folder: Path) -> Path:
    """A project's folder, with steps of its own."""
    (folder / "my_steps.py").write_text(STEPS)
    return folder


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One Ray for the tests that do not care how many workers it has, in a project's folder."""
    folder = with_steps(tmp_path_factory.mktemp("project"))
    with contextlib.chdir(folder), cluster.ray_session(2):
        yield


def test_a_share_of_training_pairs_is_undamaged_and_none_of_validation(
    ray: None, photos: Photos, make: Make
) -> None:
    tiles = {"tile_px": 48, "train": 40, "valid": 40}
    manifest, _, out = make(photos(5), undamaged_share=0.25, tiles=tiles)
    same = {
        split: [
            (out / pair.good).read_bytes() == (out / pair.crappy).read_bytes()
            for pair in manifest.split(split)
        ]
        for split in ("train", "valid")
    }
    assert 0.12 < np.mean(same["train"]) < 0.38 and not any(same["valid"])
    others, _, _ = make(photos(5), tiles=tiles)
    assert sum(a == b for a, b in zip(manifest.pairs, others.pairs, strict=True)) > 100
    assert manifest.damage == ["shrinking", "written text", "JPEG compression"]


def test_pairs_are_what_the_manifest_says(ray: None, photos: Photos, make: Make) -> None:
    manifest, failed, out = make(photos(5))
    assert failed == {}
    recipe = Recipe(manifest.recipe, quality=manifest.quality, seed=manifest.seed)
    names = [pair.name for pair in manifest.pairs]
    assert names == sorted(set(names)) and len(manifest.split("valid")) == 2
    for pair in manifest.pairs:
        good, crappy = open_photo(out / pair.good), open_photo(out / pair.crappy)
        assert good.size == (48, 48) and crappy.size == (24, 24)
        assert np.array_equal(crappy, recipe.degrade(good, pair.name))


def test_photos_without_tiles_are_copied_byte_for_byte(
    ray: None, photos: Photos, make: Make
) -> None:
    folder = photos(3)
    make_picture(20, 30).convert("L").save(folder / "grey.png")
    manifest, _, out = make(folder, tiles={"tile_px": None, "train": 1, "valid": 1})
    assert {pair.photo for pair in manifest.pairs} == {"a0.jpg", "b0.jpg", "c0.jpg", "grey.png"}
    for pair in manifest.pairs:
        assert (out / pair.good).read_bytes() == (folder / pair.photo).read_bytes()
        assert min(Image.open(out / pair.crappy).size) == 24


def test_photos_that_cannot_be_used_are_reported_and_the_run_goes_on(
    ray: None, photos: Photos, make: Make
) -> None:
    folder = photos(4)
    (folder / "half.jpg").write_bytes((folder / "a0.jpg").read_bytes()[:400])
    (folder / "words.jpg").write_text("no picture")
    make_picture(4000, 1).save(folder / "long.png")  # 24 pixels high, it is too wide for a JPEG
    manifest, failed, out = make(folder, tiles={"tile_px": None, "train": 1, "valid": 1})
    assert set(failed) == {"half.jpg", "words.jpg", "long.png"}
    assert "cannot be read" in failed["half.jpg"] and "96000x24" in failed["long.png"]
    assert len(manifest.pairs) == 4
    on_disk = {f"good/{pair.photo}" for pair in manifest.pairs} | {p.crappy for p in manifest.pairs}
    assert set(contents(out)) == on_disk | {"manifest.json", "failed.json"}


def test_photos_whose_names_meet_have_crappy_files_of_their_own(
    ray: None, tmp_path: Path, make: Make
) -> None:
    names = [
        "a.png",
        "a.png.jpg",
        "a.png.jpg.jpg",
        "B.PNG",
        "b.png.jpg",
        "c.jpg",
        "c.jpeg",
        "c.JPG",
    ]
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(names):
        make_picture(seed=seed).save(tmp_path / "photos" / name)
    manifest, failed, out = make(
        tmp_path / "photos", tiles={"tile_px": None, "train": 1, "valid": 1}
    )
    assert failed == {} and len(manifest.pairs) == len(names)
    assert len({pair.crappy.lower() for pair in manifest.pairs}) == len(names)
    crappy = {pair.photo: pair.crappy for pair in manifest.pairs}
    assert crappy["a.png"] == "crappy/a.png.jpg" and crappy["c.jpg"] == "crappy/c.jpg"
    recipe = Recipe(manifest.recipe, quality=manifest.quality, seed=manifest.seed)
    for pair in manifest.pairs:
        good = open_photo(tmp_path / "photos" / pair.photo)
        assert np.array_equal(open_photo(out / pair.crappy), recipe.degrade(good, pair.name))


def test_copies_of_a_photo_are_in_no_split(
    ray: None, photos: Photos, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(4)
    for name in ("copy.jpg", "other.png"):
        (folder / name).write_bytes((folder / "a0.jpg").read_bytes())
    manifest, failed, _ = make(folder)
    assert {pair.photo for pair in manifest.pairs} == {"a0.jpg", "b0.jpg", "c0.jpg", "d0.jpg"}
    assert failed == dict.fromkeys(["copy.jpg", "other.png"], "the same bytes as a0.jpg")
    assert "set aside copy.jpg: the same bytes as a0.jpg" in capsys.readouterr().out


def test_photos_smaller_than_a_tile_are_used_and_told(
    ray: None, photos: Photos, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(3)
    make_picture(200, 47).save(folder / "small.png")
    manifest, _, _ = make(folder)
    assert "small.png" in {pair.photo for pair in manifest.pairs}
    told = "1 of 4 photos are smaller than a tile of 48 px and were enlarged"
    assert told in (printed := capsys.readouterr().out) and ": small.png\n" in printed
    make(folder, tiles={"tile_px": 47, "train": 2, "valid": 1})
    assert "smaller" not in capsys.readouterr().out


def test_names_of_any_bytes_are_used_or_set_aside_with_the_reason(
    ray: None, photos: Photos, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(5)
    names = ["a\nb.jpg", "-n.jpg", "x" * 247 + ".jpg", "y" * 248 + ".jpg", "caf\udce9.jpg"]
    for old, new in zip(sorted(folder.iterdir()), names, strict=True):
        old.rename(folder / new)
    (folder / "film.mov").touch()
    manifest, failed, _ = make(folder, tiles={"tile_px": None, "train": 1, "valid": 1})
    assert {pair.photo for pair in manifest.pairs} == set(names[:3])
    assert set(failed) == {names[3], "caf\\udce9.jpg"}
    assert "not UTF-8" in failed["caf\\udce9.jpg"] and "longer than 251 bytes" in failed[names[3]]
    assert "1 left aside: 1 .mov" in capsys.readouterr().out
    assert {pair.photo for pair in make(folder)[0].pairs} == set(
        names[:4]
    )  # tiles' names are short


def test_without_a_readable_photo_nothing_is_left(ray: None, tmp_path: Path, make: Make) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="dvc repro download"):
        make(tmp_path / "photos")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).touch()
    with pytest.raises(UserError, match="none of the 2 photos"):
        make(tmp_path / "photos")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_killed_workers_photos_are_done_again(
    ray: None, photos: Photos, make: Make, tmp_path: Path
) -> None:
    folder, flag = photos(6), tmp_path / "killed"
    step = {"my_steps.killer": {"flag": str(flag)}}
    manifest, failed, out = make(folder, recipe=["grey", step, "jpeg"])
    assert flag.exists() and failed == {}
    assert {pair.photo for pair in manifest.pairs} == {p.name for p in folder.iterdir()}
    killed = contents(out)
    make(folder, recipe=["grey", step, "jpeg"])
    assert contents(out) == killed


KILLED = """
import os, sys
os.environ["STAGE_PID"] = str(os.getpid())
from pathlib import Path
from tests.tasks.test_crappify import params
from tasks import crappify, recipe
step = {"my_steps.counted": {"dies_after": 25}}
tiles = {"tile_px": None, "train": 1, "valid": 1}
crappify.run(params(recipe=["grey", step, "jpeg"], tiles=tiles), Path("photos"), Path("out"))
"""


def test_a_run_after_a_kill_does_the_missing_photos_alone(photos: Photos, tmp_path: Path) -> None:
    photos(40)
    with_steps(tmp_path)

    def run(name: str, marks: int = 0) -> "subprocess.CompletedProcess[str]":
        """With marks of its own: a killed stage's workers may leave a few after its end."""
        (tmp_path / name).mkdir()
        for number in range(marks):
            (tmp_path / name / f"old{number}").touch()
        command = [sys.executable, "-c", KILLED]
        env = {**os.environ, "LESSONPIPE_WORKERS": "2", "MARKS": str(tmp_path / name)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    assert run("first").returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    done = run("again", marks=30)  # past the count at which it dies
    assert done.returncode == 0, done.stderr
    again = len(os.listdir(tmp_path / "again")) - 30
    kept = int(re.search(r"resuming after (\d+) photos", done.stdout)[1])  # type: ignore[index]
    assert kept > 0 and again == 40 - kept
    assert not list(tmp_path.glob(".out*"))

    killed = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "before")
    assert run("whole", marks=30).returncode == 0
    assert contents(tmp_path / "out") == killed


def test_a_photo_that_has_changed_is_done_again(ray: None, photos: Photos, tmp_path: Path) -> None:
    folder, out = photos(4), tmp_path / "out"
    names = [path.name for path in folder.iterdir()]
    splits: dict[str, Split] = dict.fromkeys(names, "train")
    draft = PairsDraft.find(out, "key")

    def pairs_of(name: str) -> PhotoPairs:
        return saved_pairs(
            folder / name,
            tmp_path / "elsewhere",
            split="train",
            group_pattern=None,
            tile_px=32,
            count=1,
            recipe=Recipe(["grey"]),
        )

    for name in names:
        draft.add(pairs_of(name))
    draft.commit()
    with open(draft.journal.path, "a") as journal:
        journal.write('{"photo": "d0.j')  # killed while it wrote
    assert set(PairsDraft.find(out, "key").done(folder, splits)) == set(names)

    make_picture(70, 50, seed=9).save(folder / "b0.jpg")
    splits["c0.jpg"] = "valid"
    again = PairsDraft.find(out, "key")
    assert set(again.done(folder, splits)) == {"a0.jpg", "d0.jpg"}
    assert not (again.folder / "good/b0.jpg/000.jpg").exists()
    assert (again.folder / "good/a0.jpg/000.jpg").exists()

    again.add(pairs_of("b0.jpg"))  # the older row of it stays in the journal
    again.commit()
    (again.folder / "good/d0.jpg/000.jpg").unlink()
    (again.folder / "good/e0.jpg").write_bytes(b"killed before its row was written")
    before, again = again, PairsDraft.find(out, "key")
    assert set(again.done(folder, splits)) == {"a0.jpg", "b0.jpg"}
    with pytest.raises(FileNotFoundError):  # a late worker of the run before
        write_files(before.folder, {"good/a0.jpg/000.jpg": b"late"})
    assert not before.folder.exists()
    left = {path.name for path in (again.folder / "good").rglob("*") if path.is_file()}
    assert left == {"000.jpg"} and (again.folder / "good/b0.jpg/000.jpg").exists()
    assert set(PairsDraft.find(out, "another").done(folder, splits)) == set()
    assert not again.folder.exists()


def test_the_error_of_a_step_is_raised_as_it_is(ray: None, photos: Photos, make: Make) -> None:
    with pytest.raises(UserError) as told:
        make(photos(3), recipe=["my_steps.faulty"])
    assert str(told.value) == "this step wants larger pictures"


def test_making_pairs_again_elsewhere_gives_the_same(photos: Photos, tmp_path: Path) -> None:
    folder = photos(1)
    made = [
        saved_pairs(
            folder / "a0.jpg",
            split="train",
            group_pattern=None,
            tile_px=32,
            count=3,
            recipe=Recipe(["ink", "noise"]),
            out=tmp_path / place,
        )
        for place in ("one", "two")
    ]
    assert made[0] == made[1] and len(made[0].pairs) == 3
    assert set(contents(tmp_path / "one")) == set(made[0].files)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {Path(pair.crappy).suffix for pair in made[0].pairs} == {".png"}
