"""Many small pieces of work, over all workers."""

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
    """`function` of every item of every chunk on Ray's workers, in the order that they are done.

    Yields each result and the seconds since the workers were ready. Chunks are taken when there
    is somebody to work on them, and few are under way at a time, so any number of them takes the
    memory of those. A worker that dies has its chunk done again, up to three times. Our errors
    and the system's come out as they are. Must be used within `running`.
    """
    import ray

    remote = ray.remote(num_cpus=1, max_retries=3)(_each)
    width = cpus()
    ray.get([ray.remote(num_cpus=1)(_ready).remote(function) for _ in range(width)])
    start = time.perf_counter()
    waiting = iter(chunks)
    shared = ray.put(function)
    under_way: set[Any] = set()
    try:
        while True:
            while len(under_way) < 2 * width and (part := next(waiting, None)) is not None:
                under_way.add(remote.remote(shared, part))
            if not under_way:
                return
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


def _each(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    return [function(item) for item in items]


def _ready(function: Callable[[Any], Any]) -> None:
    """Unpickling `function` has imported what it needs; wait until every worker has."""
    time.sleep(0.05)
