"""A folder as people have it: links, other kinds of files, copies, names of any bytes."""

import os
from pathlib import Path

from lessonpipe.data.folders import (
    find_copies,
    format_left_aside,
    is_utf8,
    list_folder,
)
from lessonpipe.data.photos import find_pictures
from tests.conftest import make_picture


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_folder(folder).pictures]


def test_what_is_left_aside_is_counted_by_suffix(tmp_path: Path) -> None:
    touch(
        *(tmp_path / f"in/{i}.MOV" for i in range(12)), *(tmp_path / f"{i}.cr2" for i in range(3))
    )
    touch(tmp_path / "a.jpg", tmp_path / "README", tmp_path / "Mr. Smith, at home")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "none.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    found = list_folder(tmp_path)
    assert found.pictures == [tmp_path / "a.jpg"]
    assert format_left_aside(found.left_aside) == (
        "12 .mov, 3 .cr2, 2 (no suffix), 1 (broken link), 1 (no plain file)"
    )
    assert format_left_aside({}) == ""


def test_hidden_files_those_of_systems_and_sidecars_are_not_told(tmp_path: Path) -> None:
    untold = [".DS_Store", "Thumbs.db", "desktop.ini", ".hidden/a.mov", "a.jpg.json", "a.XMP"]
    touch(*(tmp_path / name for name in [*untold, "IMG_1.AAE", "notes.txt", "README.md"]))
    assert list_folder(tmp_path).left_aside == {}


def test_a_linked_folder_is_followed_once_and_loops_end(tmp_path: Path) -> None:
    folder, outside = tmp_path / "photos", tmp_path / "outside"
    touch(folder / "z/a.jpg", outside / "b.jpg", outside / "deep/c.jpg")
    (folder / "a-link-to-z").symlink_to(folder / "z")
    (folder / "z/loop").symlink_to("..")
    (folder / "one").symlink_to(outside)
    (folder / "two").symlink_to(outside)
    (outside / "deep/back").symlink_to(outside)
    assert names(folder) == ["one/b.jpg", "one/deep/c.jpg", "z/a.jpg"]
    assert list_folder(folder).left_aside == {}


def test_a_link_to_a_folder_above_is_told_and_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "photos/a.jpg", tmp_path / "others/b.jpg")
    (tmp_path / "photos/up").symlink_to(tmp_path)
    assert names(tmp_path / "photos") == ["a.jpg"]
    assert list_folder(tmp_path / "photos").left_aside == {"(link to a folder above)": 1}


def test_a_folder_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert find_pictures([tmp_path / "link"]) == [tmp_path / "link/a.jpg"]


def test_files_of_the_same_bytes_are_copies_of_the_first(tmp_path: Path) -> None:
    for name, seed in (("a.png", 1), ("b.png", 2), ("c.png", 1), ("d/a.png", 1)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_picture(seed=seed).save(tmp_path / name)
    (tmp_path / "e.png").symlink_to(tmp_path / "b.png")
    touch(tmp_path / "f.png", tmp_path / "g.png")  # empty
    copies = find_copies([*list_folder(tmp_path).pictures, tmp_path / "none.png"])
    assert {c.relative_to(tmp_path).as_posix(): first.name for c, first in copies.items()} == {
        "c.png": "a.png",
        "d/a.png": "a.png",
        "e.png": "b.png",
    }


def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    kept = [b"caf\xe9.jpg", b"a\nb.jpg", b"-n.jpg", b"x" * 251 + b".jpg", "ü\u202f写.jpg".encode()]
    for name in kept:
        touch(tmp_path / os.fsdecode(name))
    found = list_folder(tmp_path).pictures
    assert sorted(os.fsencode(path.name) for path in found) == sorted(kept)
    assert [is_utf8(os.fsdecode(name)) for name in kept] == [False, True, True, True, True]
