"""A real server for the session, real little DVC projects, and the flow as its own process."""

import contextlib
import http.server
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flows import server
from tests.conftest import PATIENCE, until

ROOT = Path(__file__).parents[2]

STAGE = '''
"""python stage.py NAME SECONDS: says three lines, writes NAME.txt at its end."""
import json, os, sys, time
from pathlib import Path

name, seconds = sys.argv[1], float(sys.argv[2])
start = time.time()
for i in (1, 2, 3):
    print(f"{name}: step {i}", end="\\r")
    time.sleep(seconds / 3)
trouble = Path(f"{name}.trouble")  # how it shall fail: an exit code and last words
if trouble.exists():
    code, words, once = json.loads(trouble.read_text())
    if once:
        trouble.unlink()
    print(words, file=sys.stderr)
    sys.exit(code)
if name == "evaluate":
    from PIL import Image
    Image.effect_noise((2400, 1800), 90).save("grid.jpg", quality=95)
    Path("lesson").mkdir(exist_ok=True)
    black, white = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "white")
    black.save("lesson/film.webp", save_all=True, append_images=[white])
    Path("lesson/curve.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='40'/>")
    pictures = [{"file": name, "caption": name} for name in ("film.webp", "curve.svg")]
    shown = {"title": "A lesson", "text": "Learnt.", "scores": [], "plots": pictures}
    Path("lesson/result.json").write_text(json.dumps(shown))
    Path("metrics.json").write_text(json.dumps({"128": {"gan": {"psnr": 31.41592653}}}))
Path(f".{name}.draft").write_text(f"{start} {time.time()}")
os.replace(f".{name}.draft", f"{name}.txt")
'''

# Written out of order: b and c need a, evaluate needs all.
DVC_YAML = """
stages:
  evaluate:
    cmd: python stage.py evaluate 0
    deps: [b.txt, c.txt, stage.py]
    outs: [evaluate.txt, grid.jpg, lesson]
    metrics: [metrics.json: {cache: false}]
  c:
    cmd: python stage.py c ${seconds.c}
    deps: [a.txt, stage.py]
    outs: [c.txt]
  a:
    cmd: python stage.py a ${seconds.a}
    deps: [stage.py]
    outs: [a.txt]
  b:
    cmd: python stage.py b ${seconds.b}
    deps: [a.txt, stage.py]
    outs: [b.txt]
"""


def environment() -> dict[str, str]:
    """A subprocess's: no telemetry, no server of the person's own."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return own | paths | {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}


@dataclass
class Run:
    """A run that has ended: its exit code, what it said, and what the server knows of it."""

    code: int
    said: str
    api: Callable[..., Any]

    @property
    def id(self) -> str:
        """Prefect's id."""
        return re.findall(r"flow-run/([0-9a-f-]{36})", self.said)[0]

    def state(self) -> dict[str, Any]:
        """The flow run's last state."""
        return self.api("GET", f"flow_runs/{self.id}")["state"]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The task runs by the name of their stage."""
        asked = {"flow_runs": {"id": {"any_": [self.id]}}}
        return {t["name"]: t for t in self.api("POST", "task_runs/filter", asked)}


@dataclass
class Project:
    """A folder with a `dvc.yaml`."""

    folder: Path
    url: str = ""
    ui: "subprocess.Popen[str] | None" = None

    def slow(self, **seconds: float) -> None:
        """Let stages take their time."""
        whole = {"a": 0, "b": 0, "c": 0} | seconds
        (self.folder / "params.yaml").write_text(f"seconds: {whole}")

    def command(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Start `python ...` here, as a shell would."""
        server = {"PREFECT_API_URL": f"{self.url}/api"} if self.url else {}
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=environment() | {"PWD": str(self.folder)} | server,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *words: str) -> Run:
        """One flow run, to its end."""
        process = self.command("-m", "flows", "run", *words)
        said, _ = process.communicate(timeout=PATIENCE)
        return Run(process.returncode, said, self.api)

    def dvc(self, *words: str) -> str:
        """What DVC says at a desk."""
        process = self.command("-m", "dvc", *words)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        return said

    def open(self, *words: str) -> None:
        """Open the page, `python -m flows ui WORDS`, and wait until it takes runs."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.ui = self.command("-m", "flows", "ui", "--port", str(port), *words)
        self.url = f"http://127.0.0.1:{port}"
        self.until(lambda: self.deployment("restore-folder").get("status") == "READY")

    def deployment(self, name: str) -> dict[str, Any]:
        """What the page serves by this name; nothing while it does not."""
        with contextlib.suppress(httpx.HTTPError):
            return self.api("GET", f"deployments/name/{name}/{name}-here")
        return {}

    def start(self, name: str, **parameters: Any) -> str:
        """Ask the page for a run, as its button does; answers with Prefect's id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.api("POST", path, body)["id"]

    def ended(self, run: str) -> str | None:
        """The state a run has ended in, if it has."""
        state = self.api("GET", f"flow_runs/{run}")["state"]["type"]
        return state if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    def told(self, run: str) -> str:
        """What a run told, for a failing test."""
        asked = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(log["message"] for log in self.api("POST", "logs/filter", asked))

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """The artifacts of this name, the oldest first."""
        asked = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
        return self.api("POST", "artifacts/filter", asked)[::-1]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server."""
        answer = httpx.request(method, f"{self.url}/api/{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def processes(self) -> list[psutil.Process]:
        """Every other process that works in this folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                here = process.cwd() == str(self.folder) and process.pid != os.getpid()
                if here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def stage_runs(self, stage: str) -> bool:
        """Whether the command of a stage is at work."""
        with contextlib.suppress(psutil.Error):
            return any(f"stage.py {stage}" in " ".join(p.cmdline()) for p in self.processes())
        return False

    until = staticmethod(until)


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
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project to copy."""
    folder = tmp_path_factory.mktemp("seed") / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    project = Project(folder)
    project.dvc("init", "-q")
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    shutil.copy(ROOT / ".gitignore", folder)  # a server's database is no part of an experiment
    project.slow()
    return folder


@pytest.fixture
def desk(seed: Path, tmp_path: Path) -> Iterator[Project]:
    """A project without a server; nothing that the test started lives on."""
    project = Project(shutil.copytree(seed, tmp_path / "project"))
    yield project
    for process in project.processes():
        process.kill()


@pytest.fixture
def settled(desk: Project, empty_database: Path) -> Project:
    """A project with a database, which takes a server's first start five seconds to make."""
    home = desk.folder / server.HOME
    home.mkdir(parents=True)
    shutil.copy(empty_database, home)
    return desk


@pytest.fixture(scope="session")
def empty_database(
    first_server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the server's database, as yet without runs."""
    copy = tmp_path_factory.mktemp("database") / "prefect.db"
    with sqlite3.connect(first_server[1]) as old, sqlite3.connect(copy) as new:
        old.backup(new)
        for table in ("flow_run", "deployment", "artifact", "artifact_collection"):
            new.execute(f"DELETE FROM {table}")
    return copy


@pytest.fixture
def project(desk: Project, url: str) -> Project:
    """A project, with the session's server."""
    desk.url = url
    return desk


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
        for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
            subprocess.run(words, check=True)
        subprocess.run(["git", "add", "-A"], check=True)
        subprocess.run(["git", *who, "commit", "-qm", "start"], check=True)

    return make


@pytest.fixture
def listener():
    """A server that keeps what is posted to it."""
    posted = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_): ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.posted = posted
    yield server
    server.shutdown()
