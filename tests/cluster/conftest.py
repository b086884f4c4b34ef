"""A real cluster: a desk that does no work, and nodes that cannot see the desk's files.

Each node lives in a mount namespace of its own with an empty /tmp, where the desk's project, Ray's
sockets and the parcels would be; what it knows has come over the network.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ray.util.state import list_nodes
from ray.util.state.exception import RayStateApiException
from requests import RequestException

from tests.conftest import until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SPACE = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]


def environment(**more: str) -> dict[str, str]:
    """Of the desk and of the nodes: nothing of the tests' own, no telemetry."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "LESSONPIPE_"))}
    own.pop("PYTHONPATH", None)  # the code must travel
    return {
        **own,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "DVC_NO_ANALYTICS": "1",
        "LESSONPIPE_DEVICE": "cpu",
        **more,
    }


def free_port() -> int:
    """A port nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def agent() -> str:
    """Ray's word for where a node takes jobs: by default all nodes of a machine share one port."""
    return f"--dashboard-agent-listen-port={free_port()}"


@dataclass
class Node:
    """A started `ray start --block`, with all its processes."""

    process: "subprocess.Popen[bytes]"

    def processes(self) -> list[psutil.Process]:
        """Every process of the node."""
        try:
            top = psutil.Process(self.process.pid)
        except psutil.NoSuchProcess:
            return []
        return [top, *top.children(recursive=True)]

    def kill(self) -> None:
        """End all of it at once, as a power cut would."""
        for process in self.processes():
            with_suppressed(process.send_signal, signal.SIGKILL)
        self.process.wait()

    def workers(self, words: str) -> list[psutil.Process]:
        """Its worker processes whose title has these words."""
        return [p for p in self.processes() if words in " ".join(with_suppressed(p.cmdline) or [])]


def with_suppressed(call: Callable[..., Any], *args: Any) -> Any:
    """The answer, or None of a process that is gone."""
    try:
        return call(*args)
    except psutil.Error:
        return None


@dataclass
class Cluster:
    """A desk (the head, without CPUs) and nodes."""

    address: str
    env: dict[str, str]
    nodes: list[Node] = field(default_factory=list)

    def add(self, nodes: int = 1) -> None:
        """Start nodes of one CPU that share no /tmp with the desk; returns when they are in."""
        for _ in range(nodes):
            command = f"mount -t tmpfs none /tmp && exec ray start --address={self.address} "
            command += "--node-ip-address=127.0.0.1 --num-cpus=1 --block "
            command += f"--object-store-memory=300000000 {agent()}"
            process = subprocess.Popen(
                [*SPACE, "sh", "-c", command],
                env=self.env,
                cwd="/",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.nodes.append(Node(process))
        until(self.is_whole)

    def is_whole(self) -> bool:
        """Whether the head knows of all nodes that live, itself among them, and of no dead one."""
        with contextlib.suppress(RequestException, RayStateApiException):
            states = [node.state for node in list_nodes(self.env["DASHBOARD"])]
            return states.count("ALIVE") == 1 + len(self.nodes)
        return False


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server on this machine with a bucket `lessonpipe`: its address."""
    port = free_port()
    server = subprocess.Popen(
        [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        import boto3
        from botocore.exceptions import EndpointConnectionError

        client = boto3.client("s3", endpoint_url=url, **credentials())

        def bucket() -> bool:
            try:
                client.create_bucket(Bucket="lessonpipe")
            except EndpointConnectionError:
                return False
            return True

        until(bucket)
        yield url
    finally:
        server.terminate()
        server.wait()


def credentials() -> dict[str, str]:
    """Any will do."""
    return {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "region_name": "us-east-1",
    }


@pytest.fixture(scope="module")
def cluster(s3: str) -> Iterator[Cluster]:
    """A desk and two nodes of one CPU."""
    if not shutil.which("unshare") or subprocess.run([*SPACE, "true"], check=False).returncode:
        pytest.skip("nodes with their own /tmp need Linux namespaces")
    env = environment(
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=s3,
    )
    port, dashboard = free_port(), free_port()
    env["DASHBOARD"] = f"http://127.0.0.1:{dashboard}"
    head = subprocess.Popen(
        [
            *(BIN / "ray", "start", "--head", f"--port={port}", "--num-cpus=0", "--block"),
            *("--node-ip-address=127.0.0.1", f"--dashboard-port={dashboard}"),
            "--object-store-memory=300000000",
            agent(),
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    made = Cluster(f"127.0.0.1:{port}", env, [])
    try:
        until(made.is_whole)
        made.add(2)
        yield made
    finally:
        for node in [*made.nodes, Node(head)]:
            node.kill()


@dataclass
class Desk:
    """A project whose stages run by the door."""

    folder: Path
    env: dict[str, str]

    def start(self, stage: str, **env: str) -> "subprocess.Popen[str]":
        """Run a stage."""
        return subprocess.Popen(
            [sys.executable, "-m", "tasks", stage],
            cwd=self.folder,
            env={**self.env, "PYTHONPATH": str(ROOT), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *stages: str, **env: str) -> str:
        """Run stages to their end; what they said."""
        said = ""
        for stage in stages:
            process = self.start(stage, **env)
            out, _ = process.communicate(timeout=900)
            said += out
            assert process.returncode == 0, f"{stage}: {out[-3000:]}"
        return said

    def history(self, stage: str) -> list[dict[str, float]]:
        """The curve of a training stage."""
        lines = (self.folder / "models" / stage / "history.csv").read_text().splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, map(float, x.split(",")), strict=True)) for x in lines[1:]]

    def files(self, *places: str) -> dict[str, bytes]:
        """All files below some places."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for place in places
            for path in sorted((self.folder / place).rglob("*"))
            if path.is_file()
        }


def small(params: dict[str, Any]) -> dict[str, Any]:
    """Little of everything."""
    phase = {"image_px": 64, "batch": 4, "max_lr": 1e-3}
    params["precision"] = "fp32"
    params["download"]["limit"] = 6
    params["crappify"] |= {"group_pattern": None, "tiles": {"tile_px": 64, "train": 6, "valid": 2}}
    params["pretrain_generator"] |= {
        "widths": [16, 16, 8, 8],
        "head": 8,
        "phases": [phase | {"epochs": 3, "frozen": True}],
    }
    params["save_preds"]["image_px"] = 64
    params["pretrain_critic"]["phases"] = [phase | {"epochs": 6}]
    params["fit_gan"] |= {"image_px": 64, "batch": 4, "epochs": 3, "samples": 1}
    params["fit_feature"]["phases"] = [phase | {"epochs": 2}, phase | {"image_px": 96, "epochs": 1}]
    params["evaluate"]["at"] = [{"image_px": 64, "models": ["generator"]}]
    params["numbers"] |= {"seeds": [1], "runs": [params["numbers"]["runs"][-1] | {"epochs": 3}]}
    return json.loads(json.dumps(params))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A project in which every stage but the last was run on one machine, by one worker."""
    folder = tmp_path_factory.mktemp("alone")
    params = small(yaml.safe_load((ROOT / "params.yaml").read_text()))
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", folder)
    desk = Desk(folder, environment(OMP_NUM_THREADS="1"))
    desk.run("download", "recipe", "crappify", "pretrain_generator", "save_preds")
    desk.run("pretrain_critic", "fit_gan", "fit_feature", "fit_control")
    return desk


@pytest.fixture
def desk(alone: Desk, cluster: Cluster, tmp_path: Path) -> Desk:
    """The same project and photos, nothing made yet, at the desk of a cluster."""
    folder = tmp_path / "desk"
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(alone.folder / name, folder)
    for name in ("data/photos", "data/recipe.json"):
        place = alone.folder / name
        copy = shutil.copytree if place.is_dir() else shutil.copy
        (folder / name).parent.mkdir(exist_ok=True)
        copy(place, folder / name)
    storage = f"s3://lessonpipe/{tmp_path.name}"
    facts = {"RAY_ADDRESS": cluster.address, "LESSONPIPE_STORAGE": storage}
    return Desk(folder, {**cluster.env, **facts})
