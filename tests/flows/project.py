"""A small DVC project, the flow as a process of its own, and what a Prefect server knows of it."""

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from flows import server
from flows.client import csrf_headers
from tests.conftest import PATIENCE, until

ROOT = Path(__file__).parents[2]

STAGE = '''
"""python stage.py NAME: prints three lines, writes NAME.txt at its end."""
import json, os, sys, time
from pathlib import Path

name = sys.argv[1]
for i in (1, 2, 3):
    print(f"{name}: step {i}", end="\\r")
while Path(f"{name}.hold").exists():  # until the test removes it
    time.sleep(0.05)
failure = Path(f"{name}.failure")
if failure.exists():
    code, message, once = json.loads(failure.read_text())
    if once:
        failure.unlink()
    print(message, file=sys.stderr)
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
Path(f".{name}.draft").write_text(str(time.time()))
os.replace(f".{name}.draft", f"{name}.txt")
'''

# Out of order: b and c need a, evaluate needs all.
DVC_YAML = """
stages:
  evaluate:
    cmd: python stage.py evaluate
    deps: [b.txt, c.txt, stage.py]
    outs: [evaluate.txt, grid.jpg, lesson]
    metrics: [metrics.json: {cache: false}]
  c:
    cmd: python stage.py c
    deps: [a.txt, stage.py]
    params: [version.c]
    outs: [c.txt]
  a:
    cmd: python stage.py a
    deps: [stage.py]
    params: [version.a]
    outs: [a.txt]
  b:
    cmd: python stage.py b
    deps: [a.txt, stage.py]
    params: [version.b]
    outs: [b.txt]
"""


def environment() -> dict[str, str]:
    """A subprocess's variables: no telemetry, no Prefect server of the person's."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return (
        inherited | paths | {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    )


@dataclass
class Run:
    """A run that has ended: its exit code, its output, and what the server knows of it."""

    code: int
    output: str
    api: Callable[..., Any]

    @property
    def id(self) -> str:
        """Prefect's id."""
        return re.findall(r"flow-run/([0-9a-f-]{36})", self.output)[0]

    def state(self) -> dict[str, Any]:
        """The flow run's last state."""
        return self.api("GET", f"flow_runs/{self.id}")["state"]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """The task runs by the name of their stage."""
        query = {"flow_runs": {"id": {"any_": [self.id]}}}
        return {t["name"]: t for t in self.api("POST", "task_runs/filter", query)}


@dataclass
class Project:
    """A folder with a `dvc.yaml`."""

    folder: Path
    url: str = ""
    password: str = ""
    ui: "subprocess.Popen[str] | None" = None

    def change(self, **versions: float) -> None:
        """Make the parameters of stages others, so that DVC finds them changed."""
        all_versions = {"a": 0, "b": 0, "c": 0} | versions
        (self.folder / "params.yaml").write_text(f"version: {all_versions}")

    def hold(self, *stages: str) -> None:
        """Let these stages not end before `release`."""
        for stage in stages:
            (self.folder / f"{stage}.hold").touch()

    def release(self, *stages: str) -> None:
        """Let held stages end."""
        for stage in stages:
            (self.folder / f"{stage}.hold").unlink()

    def fail(self, stage: str, code: int, message: str, *, once: bool = False) -> None:
        """Let a stage fail with an exit code and a last line; with `once`, the first time alone."""
        (self.folder / f"{stage}.failure").write_text(json.dumps([code, message, once]))

    def command(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start `python ARGS` here, as a shell would."""
        server = {"PREFECT_API_URL": f"{self.url}/api"} if self.url else {}
        if self.url and self.password:
            server["PREFECT_API_AUTH_STRING"] = self.password
        return subprocess.Popen(
            [sys.executable, *args],
            cwd=self.folder,
            env=environment() | {"PWD": str(self.folder)} | server,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *args: str) -> Run:
        """One flow run, to its end."""
        return self.finish(self.command("-m", "flows", "run", *args))

    def finish(self, process: "subprocess.Popen[str]") -> Run:
        """The end of a flow run that was started as a command."""
        output, _ = process.communicate(timeout=PATIENCE)
        return Run(process.returncode, output, self.api)

    def dvc(self, *args: str) -> str:
        """The output of a DVC command that a person types."""
        process = self.command("-m", "dvc", *args)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        return output

    def open(self, *args: str) -> None:
        """Open the page, `python -m flows ui ARGS`, and wait until it takes runs."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.ui = self.command("-m", "flows", "ui", "--port", str(port), *args)
        self.url = f"http://127.0.0.1:{port}"
        self.password = self.until(self.own_password)
        self.until(lambda: self.deployment("restore-folder").get("status") == "READY")

    def own_password(self) -> str:
        """What the page has made for itself; empty while it has not."""
        with contextlib.suppress(OSError):
            return (self.folder / server.PASSWORD).read_text()
        return ""

    @property
    def entrance(self) -> str:
        """The address that lets a browser in."""
        return f"{self.url}/enter#{base64.b64encode(self.password.encode()).decode()}"

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment that the page serves by this name; empty while it does not."""
        with contextlib.suppress(httpx.HTTPError):
            return self.api("GET", f"deployments/name/{name}/{name}-here")
        return {}

    def start(self, name: str, **parameters: Any) -> str:
        """Start a run, as the page's button does; returns Prefect's id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.api("POST", path, body)["id"]

    def ended(self, run: str) -> str | None:
        """The state a run has ended in, if it has."""
        state = self.api("GET", f"flow_runs/{run}")["state"]["type"]
        return state if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    def log(self, run: str) -> str:
        """The log of a run."""
        query = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(log["message"] for log in self.api("POST", "logs/filter", query))

    def cancel(self, run: str) -> None:
        """Cancel a run, as the page's button does, and wait for its end."""
        state = {"state": {"type": "CANCELLING"}}
        self.api("POST", f"flow_runs/{run}/set_state", state)
        assert self.until(lambda: self.ended(run), 60) == "CANCELLED"

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """The artifacts of this name, the oldest first."""
        query = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC"}
        return self.api("POST", "artifacts/filter", query)[::-1]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """The server's response."""
        name, _, secret = self.password.partition(":")
        for _ in range(10):
            with httpx.Client(
                base_url=f"{self.url}/api/", auth=(name, secret), timeout=20
            ) as client:
                if method != "GET":
                    client.headers.update(csrf_headers(client))
                response = client.request(method, path, json=body)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)  # the database is locked; Prefect's own client retries, too
        response.raise_for_status()
        return response.json() if response.content else None

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
        """Whether the command of a stage is running."""
        with contextlib.suppress(psutil.Error):
            return any(f"stage.py {stage}" in " ".join(p.cmdline()) for p in self.processes())
        return False

    until = staticmethod(until)
