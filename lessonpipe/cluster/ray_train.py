"""Training by Ray Train: in this process, on several here, or on the nodes of a cluster."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lessonpipe.cluster.remote import STORAGE, shared_storage, upload
from lessonpipe.cluster.session import address, node_cpus, ray_session, unwrap_error, worker_count
from lessonpipe.environment import environment
from lessonpipe.errors import LessonpipeError, UserError
from lessonpipe.io import transfer
from lessonpipe.io.storage import Storage


def run_training(
    function: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    *,
    inputs: Mapping[str, Path],
    out: Path,
    scratch: Path,
    name: str,
) -> None:
    """Run a training function by Ray Train: here when one worker is asked for, else on N.

    `function` gets `config`, the `inputs` by name, `out` (a folder that its first worker fills)
    and `scratch` (where its checkpoints live), as plain strings. It runs once a worker, with
    torch.distributed set up between them, and goes on from its own checkpoint when Ray starts it
    again after a death. `name` must differ between runs of different params. Errors raised in the
    function come out as they are. On a cluster of several nodes, LESSONPIPE_STORAGE is needed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    workers = worker_count(1)
    here = {key: str(path.resolve()) for key, path in inputs.items()}
    local = {**config, **here, "out": str(out.resolve()), "scratch": str(scratch.resolve())}
    if address() is not None:
        with ray_session(workers, told=True):
            _train_on_cluster(function, config, inputs, out, scratch, name, workers)
    elif workers > 1:
        with ray_session(workers + 1, told=True):
            _fit(function, local, name, str(scratch.resolve()), workers)
    else:
        _fit(function, local, name, str(scratch.resolve()), 0)


def _train_on_cluster(
    function: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    inputs: Mapping[str, Path],
    out: Path,
    scratch: Path,
    name: str,
    workers: int,
) -> None:
    import ray

    shared = shared_storage()
    if shared is None and sum(node["Alive"] for node in ray.nodes()) > 1:
        raise UserError(
            f"training on several nodes needs {STORAGE}: a folder that all nodes see, or an "
            "address such as s3://bucket/folder; checkpoints and the model travel by it"
        )
    kept = shared / "training" / name if shared else Storage.at(scratch)
    sent = upload(inputs)
    abroad = {**config, "stage": out.name, "sent": sent, "inputs": list(inputs), "kept": kept}
    _fit(partial(_remote_worker, function), abroad, name, (kept / "ray").address, workers)
    made = kept.read("out.tar")
    if made is None:
        raise LessonpipeError(f"{kept.address} holds no out.tar; run it again")
    transfer.unpack(made, out)
    sent.forget()
    kept.clear()


def _remote_worker(function: Callable[[dict[str, Any]], None], config: dict[str, Any]) -> None:
    import ray.train

    kept: Storage = config["kept"]
    arrived = config["sent"].open()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / config["stage"]
        out.mkdir()
        inputs = {name: str(arrived / name) for name in config["inputs"]}
        function({**config, **inputs, "out": str(out), "scratch": kept.address})
        if ray.train.get_context().get_world_rank() == 0:
            kept.write("out.tar", transfer.pack({p.name: p for p in out.iterdir()}))


def _fit(
    function: Callable[[dict[str, Any]], None],
    config: dict[str, Any],
    name: str,
    place: str,
    workers: int,
) -> None:
    """Ray Train's part of it; `workers` 0 is in this process.

    On a cluster fewer workers go on when a node is lost: the curve does not depend on their number.
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
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=scale, use_gpu=gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=name,
            **_ray_storage(place),
            failure_config=FailureConfig(max_failures=5 if address() else 2),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise unwrap_error(error) or error from None


def _ray_storage(place: str) -> dict[str, Any]:
    """Ray Train's own storage path; through fsspec where it is no folder."""
    if "://" not in place:
        return {"storage_path": place}
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    fs, root = fsspec.core.url_to_fs(place)
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(fs))}


def _gpus() -> bool:
    """Whether workers can have GPUs: the cluster's, or this machine's."""
    import ray

    if ray.is_initialized() and address():
        return bool(ray.cluster_resources().get("GPU", 0) > 0)
    import torch

    return torch.cuda.is_available()


def report_metrics(row: dict[str, float]) -> None:
    """Tell Ray Train of an epoch, when it runs workers for us."""
    import ray.train

    if ray.train.get_context().get_world_size() > 1:
        ray.train.report(row)


def cpus_for(workers: int, nodes: Iterable[int]) -> int:
    """The most CPUs that each of `workers` can have on nodes of so many; at least 1."""
    nodes = list(nodes)
    fits = [c for c in range(1, max(nodes) + 1) if sum(n // c for n in nodes) >= workers]
    return max(fits, default=1)
