"""A real Ray cluster: a head that does no work, and nodes that cannot see its files.

Each node lives in a mount namespace of its own with an empty /tmp, where the project, Ray's sockets
and the unpacked uploads would be; what it has came over the network.
"""

import contextlib
import json
import os
import secrets
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

from lessonpipe.cluster.local import settings
from tests.conftest import until
from tests.forked import fork_stage
from tests.small import unet_config

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOKEN = secrets.token_hex(32)
SPACE = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]


def environment(**more: str) -> dict[str, str]:
    """The variables of workspaces and nodes: none of the tests', no telemetry."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "LESSONPIPE_"))}
    inherited.pop("PYTHONPATH", None)  # the code must travel
    return {
        **inherited,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
        "DVC_NO_ANALYTICS": "1",
        "LESSONPIPE_DEVICE": "cpu",
        **more,
    }


def free_port() -> int:
    """A port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def agent() -> str:
    """Ray's option for the port of a node's agent; by default all nodes of a machine share one."""
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
    """What the call returns, or None of a process that is gone."""
    try:
        return call(*args)
    except psutil.Error:
        return None


@dataclass
class Cluster:
    """A head without CPUs, and nodes."""

    address: str
    env: dict[str, str]
    nodes: list[Node] = field(default_factory=list)

    def add(self, nodes: int = 1) -> None:
        """Start nodes of one CPU that share no /tmp with the head, and wait until they joined."""
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
        """Whether the head lists itself and all living nodes, and no dead one."""
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
    """A head and two nodes of one CPU."""
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
        with settings({name: env[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}):
            until(made.is_whole)
            made.add(2)
            yield made
    finally:
        for node in [*made.nodes, Node(head)]:
            node.kill()


@dataclass
class Workspace:
    """A folder of the project, in which stages run by `python -m tasks`."""

    folder: Path
    env: dict[str, str]

    def start(self, stage: str, **env: str) -> "subprocess.Popen[str]":
        """Start a stage."""
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
        """Run stages to their end; returns their output."""
        output = ""
        for stage in stages:
            process = self.start(stage, **env)
            out, _ = process.communicate(timeout=900)
            output += out
            assert process.returncode == 0, f"{stage}: {out[-3000:]}"
        return output

    def history(self, stage: str) -> list[dict[str, float]]:
        """The history of a training stage, a row an epoch."""
        lines = (self.folder / "models" / stage / "history.csv").read_text().splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, map(float, x.split(",")), strict=True)) for x in lines[1:]]

    def files(self, *folders: str) -> dict[str, bytes]:
        """The content of all files in some folders."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for folder in folders
            for path in sorted((self.folder / folder).rglob("*"))
            if path.is_file()
        }


def small(params: dict[str, Any]) -> dict[str, Any]:
    """Little of everything."""
    phase = {"image_px": 64, "batch": 4, "max_lr": 1e-3}
    params["precision"] = "fp32"
    params["download"]["limit"] = 6
    params["crappify"] |= {"group_pattern": None, "tiles": {"tile_px": 64, "train": 6, "valid": 2}}
    tiny = {"encoder": "test_resnet", "pretrained": False}
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
    }
    params["pretrain_critic"]["net"] |= {"encoder": "test_efficientnet"}
    params["pretrain_critic"]["pretrained"] = False
    params["fit_gan"]["feature"] |= tiny
    params["fit_feature"]["feature"] |= tiny
    params["pretrain_generator"]["phases"] = [phase | {"epochs": 3, "frozen": True}]
    params["save_preds"]["image_px"] = 64
    params["pretrain_critic"]["phases"] = [phase | {"epochs": 6}]
    gan_phase = phase | {"epochs": 3, "frozen": True, "max_lr": 3e-4}
    params["fit_gan"] |= {"samples": 1, "phases": [gan_phase]}
    params["fit_pixel"]["phases"] = [phase | {"epochs": 2}, phase | {"image_px": 96, "epochs": 1}]
    params["evaluate"] |= {
        **tiny,
        "evaluations": [{"image_px": 64, "models": ["generator"]}],
        "high_resolution": [512, 640],
    }
    params["numbers"] |= {"seeds": [1], "runs": [params["numbers"]["runs"][-1] | {"epochs": 3}]}
    return json.loads(json.dumps(params))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which every stage but the last was run on one machine, by one worker."""
    folder = tmp_path_factory.mktemp("local")
    params = small(yaml.safe_load((ROOT / "params.yaml").read_text()))
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copy(ROOT / "dvc.yaml", folder)
    for stage in ("download", "recipe", "crappify", "pretrain_generator", "save_preds"):
        fork_stage(stage, folder, LESSONPIPE_WORKERS="1").finish()
    for stage in ("pretrain_critic", "fit_gan", "fit_pixel", "fit_feature"):
        fork_stage(stage, folder, LESSONPIPE_WORKERS="1").finish()
    return Workspace(folder, environment(OMP_NUM_THREADS="1"))


@pytest.fixture
def workspace(local: Workspace, cluster: Cluster, tmp_path: Path) -> Workspace:
    """The same project and photos, without outputs, connected to the cluster."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(local.folder / name, folder)
    for name in ("data/photos", "data/recipe.json"):
        path = local.folder / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        (folder / name).parent.mkdir(exist_ok=True)
        copy(path, folder / name)
    storage = f"s3://lessonpipe/{tmp_path.name}"
    facts = {"RAY_ADDRESS": cluster.address, "LESSONPIPE_STORAGE": storage}
    return Workspace(folder, {**cluster.env, **facts})
