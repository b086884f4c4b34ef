"""Distributed work; the only package that imports Ray.

Environment variables say where work runs: LESSONPIPE_WORKERS (processes), RAY_ADDRESS (a running
cluster; without it one is started on this machine when it is needed, and ends with the process),
LESSONPIPE_STORAGE (what all nodes of a cluster see: a shared folder, s3://bucket/folder, ...).

Nodes are not expected to share a disk. The project's code goes to them with the work; pictures and
models are uploaded as tar files, to the storage if there is one, else to Ray's object store;
outputs come back the same way.
"""

from lessonpipe.cluster.map import map_unordered
from lessonpipe.cluster.ray_train import report_metrics, run_training
from lessonpipe.cluster.remote import run_on_node
from lessonpipe.cluster.session import address, ray_session, ship_code, worker_count

__all__ = [
    "address",
    "map_unordered",
    "ray_session",
    "report_metrics",
    "run_on_node",
    "run_training",
    "ship_code",
    "worker_count",
]
