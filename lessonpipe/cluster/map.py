"""A parallel map over all workers of a Ray session."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from lessonpipe.cluster.session import cpus
from lessonpipe.errors import LessonpipeError, UserError

T = TypeVar("T")
R = TypeVar("R")


def map_unordered(
    function: Callable[[T], R], chunks: Iterable[list[T]]
) -> Iterator[tuple[R, float]]:
    """Call `function` on every item of every chunk, and yield results as they are ready.

    Yields each result with the seconds since the workers were ready. At most two chunks a worker
    are in memory at a time. The chunk of a worker that dies is done again, up to three times.
    Raises errors of this package and of the operating system as the function raised them. Needs a
    `ray_session`.
    """
    import ray

    remote = ray.remote(num_cpus=1, max_retries=3)(_map_chunk)
    workers = cpus()
    ray.get([ray.remote(num_cpus=1)(_warm_up).remote(function) for _ in range(workers)])
    start = time.perf_counter()
    remaining = iter(chunks)
    shared = ray.put(function)  # pickled once, not once a chunk
    pending: set[Any] = set()
    try:
        while True:
            while len(pending) < 2 * workers and (chunk := next(remaining, None)) is not None:
                pending.add(remote.remote(shared, chunk))
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1)
            for reference in done:
                pending.discard(reference)
                for result in ray.get(reference):
                    yield result, time.perf_counter() - start
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, (LessonpipeError, OSError)):
            raise error.cause from None  # without Ray's traceback
        raise
    except ray.exceptions.OutOfMemoryError as error:
        raise UserError(
            "Ray's memory monitor ended a worker; set LESSONPIPE_WORKERS to fewer workers"
        ) from error
    except ray.exceptions.WorkerCrashedError as error:
        raise LessonpipeError(f"a worker died four times at the same work: {error}") from error


def _map_chunk(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    return [function(item) for item in items]


def _warm_up(function: Callable[[Any], Any]) -> None:
    """Unpickling `function` has imported what it needs; wait until every worker has."""
    time.sleep(0.05)
