"""Training by Ray Train: in this process, on several here, or on the nodes of a cluster."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from lessonpipe.cluster.file_store import file_store_config
from lessonpipe.cluster.remote import STORAGE, RemoteFiles, shared_storage, upload
from lessonpipe.cluster.session import (
    address,
    node_cpus,
    ray_session,
    shorten_temp_dirs,
    unwrap_error,
    worker_count,
)
from lessonpipe.environment import environment
from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.io import transfer
from lessonpipe.io.storage import Storage

T = TypeVar("T")


@dataclass(frozen=True)
class Run(Generic[T]):
    """One training of a stage, as its function gets it on whichever machine it runs.

    `inputs` are files and folders by name, `out` is a folder that the first worker fills, and
    `scratch` is where checkpoints live.
    """

    stage: str
    params: T
    inputs: Mapping[str, Path]
    out: Path
    scratch: Storage


R = TypeVar("R", bound=Run)


def run_training(function: Callable[[R], None], run: R, *, name: str) -> None:
    """Run a training function by Ray Train: here when one worker is asked for, else on N.

    `function` gets `run`, once a worker, with torch.distributed set up between them, and resumes
    from its own checkpoint when Ray starts it again after a death. `name` must differ between runs
    of different params. Errors raised in the function come out as they are. On a cluster of several
    nodes LESSONPIPE_STORAGE is needed; raises `UserError` without it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    workers = worker_count(1)
    if address() is not None:
        with ray_session(workers, log_to_driver=True):
            _train_on_cluster(function, run, name, workers)
        return
    # workers have working folders of their own
    inputs = {key: path.resolve() for key, path in run.inputs.items()}
    local = partial(function, replace(run, inputs=inputs, out=run.out.resolve()))
    if workers > 1:
        with ray_session(workers + 1, log_to_driver=True):
            _fit(local, name, run.scratch.address, workers)
    else:
        shorten_temp_dirs()
        _fit(local, name, run.scratch.address, 0)


def _train_on_cluster(function: Callable[[R], None], run: R, name: str, workers: int) -> None:
    """Upload the inputs, train, and download what the first worker left."""
    import ray

    shared = shared_storage()
    if shared is None and sum(node["Alive"] for node in ray.nodes()) > 1:
        raise UserError(
            f"training on several nodes needs {STORAGE}: a folder that all nodes see, or an "
            "address such as s3://bucket/folder; checkpoints and the model travel by it"
        )
    scratch = shared / "training" / name if shared else run.scratch
    files = upload(run.inputs)
    remote = partial(_remote_worker, function, replace(run, scratch=scratch), files)
    _fit(remote, name, (scratch / "ray").address, workers)
    output = scratch.read_checked("out.tar")
    if output is None:
        raise LessonpipeError(f"{scratch} holds no out.tar; run it again")
    transfer.unpack(output, run.out)
    files.forget()
    scratch.clear()


def _remote_worker(function: Callable[[R], None], run: R, files: RemoteFiles) -> None:
    """Run the function with the uploaded inputs, and put what it leaves into the storage."""
    import ray.train

    folder = files.open()
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / run.stage
        out.mkdir()
        function(replace(run, inputs={name: folder / name for name in run.inputs}, out=out))
        if ray.train.get_context().get_world_rank() == 0:
            run.scratch.write_checked("out.tar", transfer.pack({p.name: p for p in out.iterdir()}))


def _fit(function: Callable[[], None], name: str, storage: str, workers: int) -> None:
    """Ray Train's part of it; `workers` 0 is in this process.

    On a cluster fewer workers continue when a node is lost: the curve does not depend on their
    number.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    gpu = workers > 0 and (environment().device or "cuda").startswith("cuda") and _gpus()
    resources: dict[str, float] | None = None
    scale: int | tuple[int, int] = workers
    if workers and address():
        resources = {"CPU": cpus_for(workers, node_cpus()), **({"GPU": 1} if gpu else {})}
        scale = (1, workers) if workers > 1 else workers
    trainer = TorchTrainer(
        function,
        torch_config=file_store_config() if workers and not address() else None,
        scaling_config=ScalingConfig(
            num_workers=scale, use_gpu=gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=name,
            **_ray_storage(storage),
            failure_config=FailureConfig(max_failures=5 if address() else 2),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise unwrap_error(error) or error from None


def _ray_storage(address: str) -> dict[str, Any]:
    """Ray Train's own storage path; through fsspec where it is no folder."""
    if "://" not in address:
        return {"storage_path": address}
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    fs, root = fsspec.core.url_to_fs(address)
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(fs))}


def _gpus() -> bool:
    """Whether workers can have GPUs: the cluster's, or this machine's."""
    import ray

    if ray.is_initialized() and address():
        return bool(ray.cluster_resources().get("GPU", 0) > 0)
    import torch

    return torch.cuda.is_available()


def report_metrics(row: dict[str, float]) -> None:
    """Report the metrics of an epoch to Ray Train, where it runs several workers."""
    import ray.train

    if ray.train.get_context().get_world_size() > 1:
        ray.train.report(row)


def cpus_for(workers: int, nodes: Iterable[int]) -> int:
    """The most CPUs that each of `workers` can have on nodes with these CPUs; at least 1."""
    nodes = list(nodes)
    fits = [c for c in range(1, max(nodes) + 1) if sum(n // c for n in nodes) >= workers]
    return max(fits, default=1)
