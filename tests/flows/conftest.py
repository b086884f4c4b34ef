"""A real Prefect server for the session, and small DVC projects beside it."""

import contextlib
import http.server
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import server
from tests.flows.project import DVC_YAML, ROOT, STAGE, Project


@pytest.fixture(scope="session")
def first_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A Prefect server with a home and a port of its own: its address and its database."""
    with contextlib.ExitStack() as stack:
        with contextlib.chdir(tmp_path_factory.mktemp("server")):
            url = stack.enter_context(server.serving())
            database = server.HOME.resolve() / "prefect.db"
        yield url, database


@pytest.fixture(scope="session")
def url(first_server: tuple[str, Path]) -> str:
    """The address of the session's Prefect server."""
    return first_server[0]


@pytest.fixture(scope="session")
def password(first_server: tuple[str, Path]) -> str:
    """The password of the session's Prefect server."""
    return (first_server[1].parent / server.PASSWORD.name).read_text()


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared project, which every test gets a copy of."""
    folder = tmp_path_factory.mktemp("seed") / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    project = Project(folder)
    project.dvc("init", "-q")
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(ROOT / ".gitignore", folder)  # a server's database is no part of an experiment
    project.change()
    return folder


@contextlib.contextmanager
def copied(seed: Path, folder: Path) -> Iterator[Project]:
    """A copy of the project; no process that was started in it lives on."""
    project = Project(shutil.copytree(seed, folder))
    try:
        yield project
    finally:
        for process in project.processes():
            process.kill()


@pytest.fixture
def local_project(seed: Path, tmp_path: Path) -> Iterator[Project]:
    """A project without a server."""
    with copied(seed, tmp_path / "project") as project:
        yield project


@pytest.fixture
def project_with_database(local_project: Project, empty_database: Path) -> Project:
    """A project whose own server finds its database made, which takes it five seconds."""
    return with_database(local_project, empty_database)


def with_database(project: Project, database: Path) -> Project:
    """The project, with this database for a server of its own."""
    home = project.folder / server.HOME
    home.mkdir(parents=True)
    shutil.copy(database, home)
    return project


@pytest.fixture(scope="session")
def empty_database(
    first_server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the server's database, as yet without runs."""
    copy = tmp_path_factory.mktemp("database") / "prefect.db"
    with (
        contextlib.closing(sqlite3.connect(first_server[1])) as old,
        contextlib.closing(
            sqlite3.connect(copy)
        ) as new,  # closed, the file is whole without its log
    ):
        old.backup(new)
        for table in ("flow_run", "deployment", "artifact", "artifact_collection"):
            new.execute(f"DELETE FROM {table}")
        new.commit()
    return copy


@pytest.fixture
def project(local_project: Project, url: str, password: str) -> Project:
    """A project, with the session's server."""
    local_project.url, local_project.password = url, password
    return local_project


@pytest.fixture(scope="module")
def shared_project(
    seed: Path, url: str, password: str, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A project for all tests of a file, with the session's server."""
    with copied(seed, tmp_path_factory.mktemp("shared") / "project") as project:
        project.url, project.password = url, password
        yield project


@pytest.fixture(scope="session")
def project_class() -> type[Project]:
    """For fixtures that live longer than a test."""
    return Project


@pytest.fixture
def dvc_project(tmp_path, monkeypatch):
    """Makes `tmp_path` a project of git and DVC with the given files, and goes there."""

    def make(files):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
            subprocess.run(command, check=True)
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run(["git", *who, "commit", "-qm", "start"], check=True)

    return make


@pytest.fixture(scope="module")
def webhook():
    """A server that records what is posted to it."""
    posted = []

    class Record(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_): ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Record)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.posted = posted
    yield server
    server.shutdown()
