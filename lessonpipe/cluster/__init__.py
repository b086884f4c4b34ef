"""Where work runs: the one room that knows Ray.

Facts of the machine come from the environment: LESSONPIPE_WORKERS (processes), RAY_ADDRESS (a
running cluster; without it one is started here when it is needed, and ended with the process),
LESSONPIPE_STORAGE (what all nodes of a cluster see: a shared folder, s3://bucket/folder, ...).

Nodes are not expected to share a disk. The project's code goes to them with the work; pictures and
models go as parcels, by the storage if there is one, else by Ray's object store; what is made
comes back the same way.
"""

from lessonpipe.cluster.map import map_unordered
from lessonpipe.cluster.ray_train import report_metrics, run_training
from lessonpipe.cluster.remote import run_on_node
from lessonpipe.cluster.session import address, ray_session, worker_count

__all__ = [
    "address",
    "map_unordered",
    "ray_session",
    "report_metrics",
    "run_on_node",
    "run_training",
    "worker_count",
]
