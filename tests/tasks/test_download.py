"""The download stage from each of its sources, into real folders."""

import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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
    for name in ("a.jpg", "sub/a.jpg", "sub/100%\u202fü.PNG", ".trash/b.jpg", ".c.jpg"):
        path = Path("my") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_picture(20, 10).save(path)
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
    photos(2, folder="my")
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


def test_a_failing_run_keeps_what_an_earlier_one_made(photos: Photos) -> None:
    photos(2, folder="my")
    made = run("folder")
    with pytest.raises(UserError):
        run("folder", pattern="*.webp")
    assert made[0] == {p.name for p in Path("data/photos").glob("*.jpg")}


def test_a_name_that_is_not_unicode_is_told_of(photos: Photos) -> None:
    folder = photos(1, folder="my")
    (folder / "a0.jpg").rename(folder / "caf\udce9.jpg")
    with pytest.raises(UserError, match=r"caf\\udce9\.jpg.*rename"):
        run("folder")


def test_the_sample_is_39_photos() -> None:
    left, report = run("sample")
    assert len(left) == report["photos"] == 39 and report["rejected"] == {}
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
