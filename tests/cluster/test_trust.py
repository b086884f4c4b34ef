"""A local Ray session serves its user alone: it is attacked while it runs."""

import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import pytest
import ray

from lessonpipe import cluster
from lessonpipe.cluster.local import private_folder
from tests.conftest import until
from tests.sockets import LOOPBACK, listening

CANARY = "canary-5e1f"
# a method of each of Ray's servers; what has another server behind a port says UNIMPLEMENTED
METHODS = (
    "InternalKVGcsService/InternalKVKeys",
    "NodeManagerService/GetNodeStats",
    "CoreWorkerService/PushTask",  # which runs code
    "ObjectManagerService/Push",
    "ReporterService/GetTraceback",
)
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "LESSONPIPE_STORAGE": f"s3://key:{CANARY}@host/folder",
    "PREFECT_API_AUTH_STRING": f"admin:{CANARY}",
    "RAY_AUTH_MODE": "disabled",  # of a cluster that is used otherwise
}


@dataclass
class Session:
    """What was seen of a session while it ran, and after it."""

    folder: Path
    token: str
    modes: dict[str, int]
    sockets: dict[int, str]  # the address by the port
    answers: dict[int, str]
    with_token: str
    files: dict[Path, bytes]
    commands: str
    processes: list[psutil.Process]


def answer(port: int, token: str = "") -> str:
    """What a port answers to somebody without the token, or with it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        pass  # not HTTP
    except Exception:  # http.client's, for gRPC's bytes
        pass
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in METHODS:
            try:
                channel.unary_unary(f"/ray.rpc.{method}")(b"", timeout=5, metadata=metadata)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    return str(error.code().name)
            else:
                return "OK"
    return "UNIMPLEMENTED"


def alive(process: psutil.Process) -> bool:
    """Whether it runs, and does not wait for its parent alone."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def work() -> None:
    """Keep a worker busy until the other one has work, too."""
    time.sleep(0.2)


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A session that has worked, and is over."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in SECRETS.items():
            patch.setenv(name, text)
        patch.delenv("RAY_ADDRESS", raising=False)
        before = dict(os.environ)
        me = psutil.Process()
        others, ports = me.children(recursive=True), listening([me])  # of other tests
        with cluster.ray_session(2):
            ray.get([ray.remote(num_cpus=1)(work).remote() for _ in range(2)])
            path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
            processes = [p for p in me.children(recursive=True) if p not in others]
            sockets = listening([me, *processes])
            sockets = {port: ip for port, ip in sockets.items() if port not in ports}
            gcs = int(ray.get_runtime_context().gcs_address.rpartition(":")[2])
            token = path.read_text()
            files = [file for file in path.parent.rglob("*") if file.is_file()]
            seen = Session(
                path.parent,
                token,
                {p.name: stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path)},
                sockets,
                {port: answer(port) for port in sockets},
                answer(gcs, token),
                {file: file.read_bytes() for file in files if file != path},
                " ".join(word for process in processes for word in process.cmdline()),
                processes,
            )
        assert {k: os.environ.get(k) for k in SECRETS} == {k: before[k] for k in SECRETS}
        yield seen


def test_it_listens_on_loopback_alone(session: Session) -> None:
    assert len(session.sockets) >= 8  # of the driver, the head, the raylet, agents and workers
    assert set(session.sockets.values()) <= LOOPBACK


def test_every_port_refuses_whoever_has_no_token(session: Session) -> None:
    assert set(session.answers.values()) == {"UNAUTHENTICATED", "401"}
    assert session.with_token == "OK"


def test_its_folder_is_for_its_user_alone_and_gone_afterwards(session: Session) -> None:
    assert session.modes == {session.folder.name: 0o700, "token": 0o600}
    until(lambda: not any(map(alive, session.processes)))
    assert not session.folder.exists()


def test_no_file_and_no_command_line_holds_a_secret_of_the_environment(session: Session) -> None:
    logs = [file for file in session.files if file.suffix in (".log", ".out")]
    assert len(logs) >= 8 and any(session.files[file] for file in logs)
    for secret in (CANARY, session.token):
        assert not [file for file, text in session.files.items() if secret.encode() in text]
        assert secret not in session.commands


def test_each_session_has_a_token_of_its_own(session: Session) -> None:
    with cluster.ray_session(1):
        assert ray.get(ray.remote(work).remote()) is None
        assert Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text() != session.token


HOLD = """
import subprocess, sys, time
from lessonpipe.cluster.local import private_folder
with private_folder(sys.argv[1]) as folder:
    words = [sys.executable, "-c", "import time; time.sleep(600)", f"--temp-dir={folder}/r"]
    print(subprocess.Popen(words, stdout=subprocess.DEVNULL).pid, folder, flush=True)
    time.sleep(600)
"""


def test_the_folder_of_a_killed_session_is_removed_by_the_next_and_a_living_ones_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "ray-of-somebody-else").mkdir()
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    held = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [one.stdout.readline().split() for one in held if one.stdout]
    killed, living = (Path(folder) for _, folder in told)
    workers = [psutil.Process(int(pid)) for pid, _ in told]
    held[0].send_signal(signal.SIGKILL)
    held[0].wait()
    assert killed.is_dir() and alive(workers[0]), "it would make its folder again"
    try:
        with private_folder(str(tmp_path)) as ours:
            assert set(tmp_path.iterdir()) == {ours, living, tmp_path / "ray-of-somebody-else"}
            assert [alive(worker) for worker in workers] == [False, True]
    finally:
        held[1].kill()
        held[1].wait()
        workers[1].kill()
    assert not ours.exists()
