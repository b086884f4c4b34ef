"""Where work runs: the one module that knows Ray.

Facts of the machine come from the environment: LESSONPIPE_WORKERS (processes), RAY_ADDRESS (a
running cluster; without it one is started here when it is needed, and ended with the process).
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lessonpipe.errors import LessonpipeError, UserError


def worker_count(default: int) -> int:
    """LESSONPIPE_WORKERS, or `default`. Raises `UserError` when it is no number above 0."""
    text = os.environ.get("LESSONPIPE_WORKERS", "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"LESSONPIPE_WORKERS={text!r}: it must be a whole number above 0")
    return int(text)


@contextmanager
def running(workers: int) -> Iterator[None]:
    """A Ray to send work to: the one at RAY_ADDRESS, or one of `workers` CPUs for the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or None
    local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **local)
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster answers at RAY_ADDRESS={address}; start it, or unset RAY_ADDRESS"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


T = TypeVar("T")
R = TypeVar("R")


def spread(
    function: Callable[[T], R], items: Sequence[T], *, chunk: int = 1
) -> Iterator[tuple[R, float]]:
    """`function` of every item on Ray's workers, in the order that they are done.

    Yields each result and the seconds since the workers were ready. A worker that dies has its
    items done again, up to three times. Our errors and the system's come out as they are. Must be
    used within `running`.
    """
    import ray

    remote = ray.remote(num_cpus=1, max_retries=3)(_each)
    width = max(1, int(ray.cluster_resources().get("CPU", 1)))
    ray.get([ray.remote(num_cpus=1)(_ready).remote(function) for _ in range(width)])
    start = time.perf_counter()
    parts = deque(items[i : i + chunk] for i in range(0, len(items), chunk))
    shared = ray.put(function)
    under_way: set[Any] = set()
    try:
        while parts or under_way:
            while parts and len(under_way) < 2 * width:
                under_way.add(remote.remote(shared, parts.popleft()))
            done, _ = ray.wait(list(under_way), num_returns=1)
            for one in done:
                under_way.discard(one)
                for result in ray.get(one):
                    yield result, time.perf_counter() - start
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (LessonpipeError, OSError)):
            raise error.cause from None  # in its own words, as if it had happened here
        raise
    except ray.exceptions.OutOfMemoryError as error:
        raise UserError(
            "Ray's memory monitor ended a worker; set LESSONPIPE_WORKERS to fewer workers"
        ) from error
    except ray.exceptions.WorkerCrashedError as error:
        raise LessonpipeError(f"a worker died four times at the same work: {error}") from error


def _each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [function(item) for item in items]


def _ready(function: Callable[[Any], Any]) -> None:
    """Unpickling `function` has imported what it needs; wait until every worker has."""
    time.sleep(0.05)


def train(function: Callable[[dict[str, Any]], None], config: dict[str, Any], name: str) -> None:
    """Run a training function by Ray Train: here when one worker is asked for, else on N.

    `function(config)` runs once a worker, with torch.distributed set up between them, and goes on
    from its own checkpoint when Ray starts it again after a worker's death. `name` must differ
    between runs of different params. Errors raised in the function come out as they are.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    workers = worker_count(1)
    gpu = workers > 1 and os.environ.get("LESSONPIPE_DEVICE", "cuda").startswith("cuda") and _gpus()
    trainer = TorchTrainer(
        function,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=workers if workers > 1 else 0, use_gpu=gpu),
        run_config=RunConfig(
            name=name,
            storage_path=str(Path(config["scratch"]).resolve() / "ray"),
            failure_config=FailureConfig(max_failures=2),
        ),
    )
    try:
        if workers == 1:
            trainer.fit()
        else:
            with running(workers + 1):
                trainer.fit()
    except Exception as error:
        raise _own(error) or error from None


def _gpus() -> bool:
    import torch

    return torch.cuda.is_available()


def _own(error: BaseException | None) -> LessonpipeError | None:
    """The error of ours that is at the bottom of one of Ray's, if there is one."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, LessonpipeError):
            return error
        seen.append(error)
        for inner in getattr(error, "worker_failures", {}).values():
            if found := _own(inner):
                return found
        error = error.__cause__ or error.__context__
    return None


def report(row: dict[str, float]) -> None:
    """Tell Ray Train of an epoch, when it runs workers for us."""
    import ray.train

    if ray.train.get_context().get_world_size() > 1:
        ray.train.report(row)
