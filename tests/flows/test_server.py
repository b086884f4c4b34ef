"""A Prefect database that cannot be used, and what else may lie there, are told with the cure."""

import sqlite3
from pathlib import Path

import pytest

from flows import server


def told(project) -> str:
    """The one line in which a flow run ends that cannot start."""
    run = project.run("a")
    assert run.code == 2, run.output
    (sentence,) = run.output.splitlines()
    assert "Prefect's database .lessonpipe/prefect/prefect.db is " in sentence
    assert "`mv .lessonpipe/prefect .lessonpipe/prefect-old` and run again" in sentence
    return sentence


def test_another_versions_database_is_told_with_the_cure_which_is_one(project_with_database):
    project = project_with_database
    database = project.folder / server.DATABASE
    with sqlite3.connect(database) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert "of another version of Prefect (Can't locate revision" in told(project)
    database.parent.rename(project.folder / ".lessonpipe/prefect-old")
    assert project.run("a").code == 0


def test_a_half_made_database_is_told(project_with_database):
    with sqlite3.connect(project_with_database.folder / server.DATABASE) as opened:
        opened.execute("DELETE FROM alembic_version")
    assert "half made (table flow already exists)" in told(project_with_database)


@pytest.mark.parametrize("damage", ["text", "hole"])
def test_a_damaged_database_is_told(damage, project_with_database):
    database = project_with_database.folder / server.DATABASE
    content = bytearray(database.read_bytes())
    if damage == "text":
        content = b"these are words, and no database at all" * 100
    else:
        half = len(content) // 2
        content[half : half + 100_000] = bytes(range(250)) * 400
    database.write_bytes(content)
    assert "prefect.db is damaged (" in told(project_with_database)


@pytest.mark.parametrize("content", [b"\x9b\xff", b"no address", b"http://127.0.0.1:1"])
def test_an_address_that_is_none_is_no_server(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert server.running() is None
    server.HOME.mkdir(parents=True)
    Path(server.HOME / "address").write_bytes(content)
    assert server.running() is None
