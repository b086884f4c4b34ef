"""A Ray session: on the running cluster that RAY_ADDRESS names, or on this machine."""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lessonpipe.cluster.local import local_options
from lessonpipe.environment import environment
from lessonpipe.errors import LessonpipeError, UserError, redact_credentials
from lessonpipe.io.git import commit

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in a submitted job
MAX_TEMP_DIR_BYTES = 24  # of a socket's 103: 79 are for the session's folders and the socket's name
SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - of a folder with a random name
TRIES = 3  # Ray gives a node half a minute to start, which is too little beside other work
_code = ["lessonpipe"]


def ship_code(*names: str) -> None:
    """Send these packages and modules to the nodes, too; those that do not exist are skipped.

    They are looked for in the working folder, then where they are installed.
    """
    _code.extend(name for name in names if name not in _code)


def code_folder() -> Path:
    """Where the stages' packages lie: in a wheel inside of `lessonpipe` (setup.py), else beside."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_pipeline"
    return inside if inside.is_dir() else package.parent


def address() -> str | None:
    """RAY_ADDRESS, the running cluster to use; None for this machine."""
    return environment().ray_address


def worker_count(default: int) -> int:
    """LESSONPIPE_WORKERS, or `default`. Raises `UserError` when it is no number above 0."""
    return environment().workers or default


@contextmanager
def ray_session(workers: int, *, log_to_driver: bool = False) -> Iterator[int]:
    """Connect to the cluster at RAY_ADDRESS, or run one of `workers` CPUs here, for the block.

    Yields its number of CPUs. With `log_to_driver`, what the work prints is printed here. Within
    another session, it is that one. Raises `UserError` when no cluster answers or no folder for
    temporary files will do, and `LessonpipeError` when Ray does not start in time.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield cpus()
        return
    shorten_temp_dirs()
    for _ in range(TRIES):
        with local_options(workers) if address() is None else _cluster_options() as options:
            options |= {"logging_level": logging.ERROR, "log_to_driver": log_to_driver}
            if not _starts(options):
                continue
            try:
                yield cpus()
            finally:
                ray.shutdown()
            return
    raise LessonpipeError("Ray did not start in time; this machine is busy otherwise: run it again")


def _starts(options: dict[str, Any]) -> bool:
    """Start or connect; whether it did so in time."""
    import ray

    try:
        ray.init(address() or "local", **options)  # None would join any cluster on this machine
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={address()}; start it, or unset RAY_ADDRESS"
        ) from error
    except RuntimeError as error:
        if "version" not in str(error).lower():
            raise
        raise UserError(f"the cluster at RAY_ADDRESS={address()} differs: {error}") from error
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        return False
    return True


@contextmanager
def _cluster_options() -> Iterator[dict[str, Any]]:
    """Yield the options of `ray.init` on a running cluster."""
    if JOB_VARIABLE in os.environ:  # a submitted job has brought its code
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        _copy_code(Path(folder))
        yield {"runtime_env": {"working_dir": folder, **_environment_of_nodes()}}


def shorten_temp_dirs() -> None:
    """Put a link in the place of a long TMPDIR or RAY_TMPDIR, until this process ends.

    Ray's sockets lie there, and those by which data loaders hand over memory. Raises `UserError`
    where no link can be made.
    """
    for name in ("RAY_TMPDIR", "TMPDIR"):
        folder = os.environ.get(name, "")
        if len(os.fsencode(folder)) > MAX_TEMP_DIR_BYTES:
            os.makedirs(folder, exist_ok=True)
            link = Path(_short_folder(folder), "t")
            link.symlink_to(os.path.abspath(folder))
            os.environ[name] = str(link)
            tempfile.tempdir = None  # what it was is remembered


def _short_folder(instead_of: str) -> str:
    for place in SHORT_PLACES:
        with suppress(OSError):
            folder = tempfile.mkdtemp(prefix="ray-", dir=place)
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder
    raise UserError(
        f"{instead_of} is too long a path for sockets, and none of {', '.join(SHORT_PLACES)} can "
        f"be written; set TMPDIR to a folder of at most {MAX_TEMP_DIR_BYTES} bytes"
    )


def _copy_code(folder: Path) -> None:
    """Copy the code into `folder`, without data and models, so that the upload is small."""
    package = Path(__file__).resolve().parents[1]
    for name in _code:
        places = (Path(name), package.parent / name, code_folder() / name)
        source = next(filter(Path.exists, places), Path(name))
        if source.is_dir():
            aside = shutil.ignore_patterns("__pycache__", "*.safetensors")
            shutil.copytree(source, folder / name, ignore=aside)
        elif source.is_file():
            shutil.copyfile(source, folder / name)


def _environment_of_nodes() -> dict[str, Any]:
    """The part of a runtime environment that sets the project's variables at the nodes.

    What holds credentials goes by a hook that Ray pickles: variables are shown in logs, on command
    lines and on the dashboard.
    """
    ours = {k: v for k, v in os.environ.items() if k.startswith("LESSONPIPE_")}
    ours.pop("LESSONPIPE_WORKERS", None)
    ours.pop("LESSONPIPE_STORAGE", None)  # its address goes with the work
    ours.setdefault("LESSONPIPE_COMMIT", commit())
    shown = {name: text for name, text in ours.items() if redact_credentials(text) == text}
    hidden = {name: text for name, text in ours.items() if name not in shown}
    shown |= {"RAY_TRAIN_V2_ENABLED": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

    def set_hidden() -> None:
        os.environ.update(hidden)

    hook = {"worker_process_setup_hook": set_hidden} if hidden else {}
    return {"env_vars": shown, **hook}


def unwrap_error(error: BaseException | None) -> LessonpipeError | None:
    """Return the `LessonpipeError` that one of Ray's errors was caused by, if there is one."""
    visited: list[BaseException] = []
    while error is not None and error not in visited:
        if isinstance(error, LessonpipeError):
            return error
        visited.append(error)
        if (cause := getattr(error, "cause", None)) and (found := unwrap_error(cause)):
            return found
        for inner in getattr(error, "worker_failures", {}).values():
            if found := unwrap_error(inner):
                return found
        error = error.__cause__ or error.__context__
    return None


def cpus() -> int:
    """The number of CPUs of the cluster; at least 1."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def node_cpus() -> list[int]:
    """The number of CPUs of each living node that has any."""
    import ray

    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return [int(cpus) for cpus in nodes if cpus >= 1] or [1]
