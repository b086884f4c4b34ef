"""A Ray to send work to: a running cluster, or one of this machine's own."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lessonpipe.environment import environment
from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.io.git import commit

CODE = ("lessonpipe", "lessons", "tasks", "my_steps.py")  # what goes to the nodes
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it in a submitted job, whose code is there already


def address() -> str | None:
    """The running cluster to use, RAY_ADDRESS, or None: this machine."""
    return environment().ray_address


def worker_count(default: int) -> int:
    """LESSONPIPE_WORKERS, or `default`. Raises `UserError` when it is no number above 0."""
    return environment().workers or default


@contextmanager
def ray_session(workers: int, *, log_to_driver: bool = False) -> Iterator[int]:
    """A Ray to send work to: the one at RAY_ADDRESS, or one of `workers` CPUs for the block.

    Gives how many CPUs it has. With `log_to_driver`, what the work prints is printed here. Raises
    `UserError` when nobody answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield cpus()
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": log_to_driver}
    with tempfile.TemporaryDirectory() as folder:
        if address() is None:
            options |= {"num_cpus": workers, "include_dashboard": False}
        elif JOB not in os.environ:
            _copy_code(Path(folder))
            options["runtime_env"] = {"working_dir": folder, "env_vars": _env_vars()}
        try:
            ray.init(address() or "local", **options)  # None would join any that runs here
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
            raise LessonpipeError(
                "Ray did not start in time; this machine is busy otherwise: run it again"
            ) from error
        try:
            yield cpus()
        finally:
            ray.shutdown()


def _copy_code(folder: Path) -> None:
    """The project's modules and nothing else, so that little travels."""
    root = Path(__file__).resolve().parent.parent.parent
    for name in CODE:
        here = Path(name) if Path(name).exists() else root / name
        if here.is_dir():
            shutil.copytree(here, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif here.is_file():
            shutil.copyfile(here, folder / name)


def _env_vars() -> dict[str, str]:
    """Our environment variables, which hold on the nodes, too."""
    ours = {k: v for k, v in os.environ.items() if k.startswith("LESSONPIPE_")}
    ours.pop("LESSONPIPE_WORKERS", None)
    ours.setdefault("LESSONPIPE_COMMIT", commit())
    return ours | {"RAY_TRAIN_V2_ENABLED": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def unwrap_error(error: BaseException | None) -> LessonpipeError | None:
    """The error of ours that is at the bottom of one of Ray's, if there is one."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, LessonpipeError):
            return error
        seen.append(error)
        if (cause := getattr(error, "cause", None)) and (found := unwrap_error(cause)):
            return found
        for inner in getattr(error, "worker_failures", {}).values():
            if found := unwrap_error(inner):
                return found
        error = error.__cause__ or error.__context__
    return None


def cpus() -> int:
    """The CPUs of the whole cluster; at least 1."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def node_cpus() -> list[int]:
    """The CPUs of each living node that has any."""
    import ray

    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return [int(cpus) for cpus in nodes if cpus >= 1] or [1]
