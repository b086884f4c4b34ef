"""A Ray of this machine that serves its user alone: on loopback, by a token, in a private folder.

By itself Ray listens on every network, keeps one readable token for years, and leaves its logs in a
folder that anybody may write to.
"""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

PREFIX = "ray-"
LOCK = "lessonpipe.lock"
NO_PORT = "65536"  # there is none: what would listen there says so in its log, and goes on
LOOPBACK_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"


@contextmanager
def local_options(workers: int) -> Iterator[dict[str, Any]]:
    """Yield the options of `ray.init` for a session of `workers` CPUs, open to nobody else."""
    with private_folder(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) as folder:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": None,  # it would win over the file
            "RAY_AUTH_TOKEN_PATH": str(token),
            "AUTOSCALER_METRIC_PORT": NO_PORT,
            "DASHBOARD_METRIC_PORT": NO_PORT,
            "GLOO_SOCKET_IFNAME": LOOPBACK_INTERFACE,
            "NCCL_SOCKET_IFNAME": LOOPBACK_INTERFACE,
        }
        with settings(variables):
            yield {
                "num_cpus": workers,
                "include_dashboard": False,
                "_temp_dir": str(folder / "r"),  # Ray opens it to everybody, but not what is above
                "_system_config": {"enable_metrics_collection": False},
            }


@contextmanager
def settings(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, None for unset, and let Ray keep to loopback, for the block."""
    from ray._private import ray_constants

    before = {name: os.environ.get(name) for name in variables}
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    _set(variables)
    ray_constants.ENABLE_RAY_CLUSTER = False  # as on macOS: this machine's address is 127.0.0.1
    _read_again()
    try:
        yield
    finally:
        _set(before)
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        _read_again()


def _read_again() -> None:
    """Let Ray notice a change of its variables and its token: it remembers them."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def private_folder(place: str) -> Iterator[Path]:
    """Yield a new folder that its user alone can enter, and remove it at the end.

    It removes, too, what processes that were killed have left in `place`.
    """
    import fcntl  # Windows has none, and the command starts there

    Path(place).mkdir(parents=True, exist_ok=True)
    _sweep(Path(place))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    draft = folder / "draft"
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        draft.rename(folder / LOCK)  # held before it has the name that the sweep looks for
        yield folder
    finally:
        _remove(folder)
        os.close(descriptor)


def _sweep(place: Path) -> None:
    """Remove the folders whose lock nobody holds: the system frees it when its process dies."""
    import fcntl

    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # locked, or just being made or removed
            if folder.lstat().st_uid == os.getuid():
                with (folder / LOCK).open() as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, and before it Ray's processes of it: a late worker would make it again."""
    late = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(f"={folder}/" in word for word in process.cmdline()):
                process.kill()
                late.append(process)
    psutil.wait_procs(late, timeout=5)
    shutil.rmtree(folder, ignore_errors=True)
