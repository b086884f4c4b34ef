"""The download stage from each of its sources, into real folders."""

import hashlib
import http.server
import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from lessonpipe.data import formats
from lessonpipe.data.fetch import Archive
from lessonpipe.errors import UserError
from tasks import download
from tests.conftest import make_picture

Photos = Callable[..., Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(source: str, **changes: Any) -> tuple[set[str], dict[str, Any]]:
    """Run the stage; answers with the photos that it leaves and its report."""
    given = {"folder": "my", "pattern": "**/*", "limit": None, **changes}
    download.run(download.Params(source=source, **given))
    out = Path("data/photos")
    left = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    return left - {"download.json"}, json.loads((out / "download.json").read_text())


def test_a_folder_is_copied_as_it_is_and_broken_pictures_set_aside() -> None:
    names = ("a.jpg", "sub/a.jpg", "sub/100%\u202fü.PNG", ".trash/b.jpg", ".c.jpg")
    for seed, name in enumerate(names):
        path = Path("my") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_picture(20, 10, seed=seed).save(path)
    Path("my/sub/half.jpg").write_bytes(Path("my/a.jpg").read_bytes()[:300])
    Path("my/empty.png").touch()
    Path("my/notes.txt").write_text("no picture")
    left, report = run("folder")
    assert left == {"a.jpg", "sub/a.jpg", "sub/100%\u202fü.PNG"}
    assert report["photos"] == 3 and set(report["rejected"]) == {"sub/half.jpg", "empty.png"}
    assert "empty" in report["rejected"]["empty.png"]
    assert Path("data/photos/a.jpg").read_bytes() == Path("my/a.jpg").read_bytes()
    assert not list(Path("data").glob(".*"))


def test_pattern_and_limit_choose_among_a_folders_photos(photos: Photos) -> None:
    photos(4, folder="my/deep")
    photos(2, width=70, folder="my")
    assert run("folder", pattern="*")[0] == {"a0.jpg", "b0.jpg"}
    assert run("folder", pattern="**/b*.jpg")[0] == {"b0.jpg", "deep/b0.jpg"}
    assert run("folder", limit=3)[0] == {"a0.jpg", "b0.jpg", "deep/a0.jpg"}


def test_a_second_run_leaves_nothing_of_the_first(photos: Photos) -> None:
    photos(3, folder="my")
    run("folder")
    Path("my/a0.jpg").unlink()
    assert run("folder")[0] == {"b0.jpg", "c0.jpg"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folder": "none"}, ["download.folder = 'none'", "no such folder"]),
        ({"folder": "bare"}, ["'bare' holds no pictures", "params.yaml"]),
        ({"pattern": "*.webp"}, ["*.webp", "no pictures"]),
        ({"pattern": "../**/*"}, ["download.pattern", "../**/*"]),
        ({"pattern": "/etc/*"}, ["download.pattern", "/etc/*"]),
        ({"pattern": ""}, ["download.pattern", "''"]),
        ({"folder": "broken"}, ["none of the 1", "is empty"]),
    ],
)
def test_a_folder_without_photos_is_told_of_with_the_cure(
    changes: dict[str, str], words: list[str], photos: Photos
) -> None:
    photos(2, folder="my")
    for name in ("bare", "broken"):
        Path(name).mkdir()
    Path("broken/a.jpg").touch()
    with pytest.raises(UserError) as told:
        run("folder", **changes)
    for word in words:
        assert word in str(told.value)
    assert not list(Path().glob("data/*"))


def test_what_is_left_of_an_absolute_folder_does_not_name_it(
    photos: Photos, tmp_path: Path
) -> None:
    folder = photos(3, folder="my/deep")
    (folder / "b0.jpg").write_bytes((folder / "a0.jpg").read_bytes()[:200])
    (folder / "c0.jpg").rename(folder / "caf\udce9.jpg")
    _, report = run("folder", folder=str(folder.parent))
    assert set(report["rejected"]) == {"deep/b0.jpg", "deep/caf\\udce9.jpg"}
    for name, reason in report["rejected"].items():
        assert reason.startswith(f"{name}: ")
    assert str(tmp_path) not in Path("data/photos/download.json").read_text()


def test_a_failing_run_keeps_what_an_earlier_one_made(photos: Photos) -> None:
    photos(2, folder="my")
    made = run("folder")
    with pytest.raises(UserError):
        run("folder", pattern="*.webp")
    assert made[0] == {p.name for p in Path("data/photos").glob("*.jpg")}


def test_photos_with_names_of_any_bytes_are_copied_or_set_aside_by_name_and_reason(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(4, folder="my")
    names = ["caf\udce9.jpg", "a\nb.jpg", "-n.jpg", "x" * 251 + ".jpg"]
    for old, new in zip(sorted(folder.iterdir()), names, strict=True):
        old.rename(folder / new)
    left, report = run("folder")
    assert left == set(names[1:]) and report["photos"] == 3
    reason = "caf\\udce9.jpg: the name is not UTF-8; rename it"
    assert report["rejected"] == {"caf\\udce9.jpg": reason}
    assert reason in capsys.readouterr().out
    (folder / "caf\udce9.jpg").rename(Path("caf\udce9.jpg"))
    Path("only").mkdir()
    Path("caf\udce9.jpg").rename("only/caf\udce9.jpg")
    with pytest.raises(UserError, match=r"caf\\udce9\.jpg.*rename"):
        run("folder", folder="only")


def test_names_are_printed_on_a_terminal_that_has_no_such_letters(
    door: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    Path("my").mkdir()
    make_picture().save("my/a.jpg")
    Path("my/写真.jpg").write_bytes(b"no photo")
    given = {"source": "folder", "folder": "my", "pattern": "**/*", "limit": None}
    Path("params.yaml").write_text(json.dumps({"download": given}))
    done = door("tasks", "download", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"set aside \u5199\u771f.jpg" in done.stdout


def test_what_a_folder_holds_beside_photos_is_told(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(2, folder="my")
    for name in ("a.MOV", "in/b.mov", "c.cr2", "d.json", ".e.mov"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert run("folder")[1]["left_aside"] == {".cr2": 1, ".mov": 2}
    told = capsys.readouterr().out
    assert told == "2 photos in data/photos, 0 set aside, 3 left aside: 2 .mov, 1 .cr2\n"
    assert "left_aside" not in run("folder", pattern="*.jpg")[1]
    with pytest.raises(UserError, match=r"holds no pictures.*left aside: 1 \.mov"):
        run("folder", pattern="in/*")


def test_without_the_extra_heic_is_left_aside_with_the_cure(
    photos: Photos, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos(1, folder="my") / "b.heic").touch()
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    run("folder")
    told = capsys.readouterr().out
    assert (
        "1 left aside: 1 .heic (HEIC is read with an extra: pip install 'lessonpipe[heic]')" in told
    )


def test_the_same_bytes_twice_are_one_photo(
    photos: Photos, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(3, folder="my")
    Path("my/in").mkdir()
    for copy, of in (("in/a.jpg", "a0.jpg"), ("z.png", "b0.jpg")):
        shutil.copyfile(folder / of, folder / copy)
    left, report = run("folder")
    assert left == {"a0.jpg", "b0.jpg", "c0.jpg"} and report["photos"] == 3
    assert report["copies"] == {"in/a.jpg": "a0.jpg", "z.png": "b0.jpg"}
    assert "2 copies of other photos left aside" in capsys.readouterr().out
    assert run("folder", limit=1)[1]["copies"] == {"in/a.jpg": "a0.jpg"}


def test_a_copy_of_a_broken_picture_is_set_aside_as_it_is(photos: Photos) -> None:
    folder = photos(1, folder="my")
    for name in ("x.jpg", "y.jpg"):
        (folder / name).write_bytes(b"no photo")
    report = run("folder")[1]
    assert set(report["rejected"]) == {"x.jpg", "y.jpg"} and "copies" not in report


def test_photos_in_linked_folders_are_copied_once(photos: Photos) -> None:
    photos(1, folder="my")
    photos(2, width=70, folder="elsewhere")
    Path("my/link").symlink_to("../elsewhere")
    Path("elsewhere/back").symlink_to("../my")
    assert run("folder")[0] == {"a0.jpg", "link/a0.jpg", "link/b0.jpg"}


def test_the_folder_may_lie_in_the_home(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos(1, folder="home/pictures").parent))
    assert run("folder", folder="~/pictures")[0] == {"a0.jpg"}


@pytest.mark.parametrize("kind", ["jfif", "avif", "jp2", "tga", "ppm", "mpo", "heic"])
def test_photos_of_every_kind_are_taken(kind: str) -> None:
    Path("my").mkdir()
    if kind == "heic":
        pillow_heif.from_pillow(make_picture()).save("my/a.heic")
    else:
        make_picture().save(f"my/a.{kind}")
    assert run("folder")[0] == {f"a.{kind}"}


def test_the_sample_is_39_rooms_and_14_photos_of_other_kinds_with_their_authors() -> None:
    left, report = run("sample")
    various = {name.removeprefix("various/") for name in left if "/" in name}
    assert len(left) == 53 and len(various) == 14
    assert report["photos"] == 53 and report["rejected"] == {}
    authors = (download.VARIOUS / "LICENSES.md").read_text()
    assert all(name.removesuffix(".jpg") in authors for name in various)
    with Image.open(Path("data/photos") / min(left)) as first:
        assert min(first.size) >= 800


@pytest.fixture
def pets(
    tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Serves five photos, one of them broken, and one file of another kind, as the pets."""
    folder = photos(5, folder="web/images")
    (folder / "e0.jpg").write_bytes(b"\xff\xd8 not really")
    (folder / "a.mat").write_bytes(b"something else")
    with tarfile.open(tmp_path / "web/images.tar.gz", "w:gz") as tar:
        tar.add(folder, "images")
    digest = hashlib.md5((tmp_path / "web/images.tar.gz").read_bytes()).hexdigest()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/images.tar.gz"
    monkeypatch.setenv("LESSONPIPE_PETS_URL", url)
    monkeypatch.setattr(download, "PETS", Archive("http://none.invalid/a.tar", "md5", digest))
    yield server.shutdown
    server.shutdown()
    server.server_close()


def test_the_pets_are_fetched_checked_and_unpacked(pets: Callable[[], None]) -> None:
    left, report = run("pets")
    assert left == {"a0.jpg", "b0.jpg", "c0.jpg", "d0.jpg"}
    assert report["photos"] == 4 and list(report["rejected"]) == ["e0.jpg"]
    assert run("pets", limit=2)[0] == {"a0.jpg", "b0.jpg"}


def test_pets_that_have_arrived_need_no_network(pets: Callable[[], None]) -> None:
    first = run("pets")
    pets()
    assert run("pets") == first


def test_the_real_pets_have_their_published_address_and_digest() -> None:
    assert download.PETS.url == "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz"
    assert download.PETS.digest == "5c4f3ee8e5d25df40f4fd59a7f44e54c"
