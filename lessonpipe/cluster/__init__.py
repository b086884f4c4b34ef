"""Where work runs: the one room that knows Ray.

Facts of the machine come from the environment: LESSONPIPE_WORKERS (processes), RAY_ADDRESS (a
running cluster; without it one is started here when it is needed, and ended with the process),
LESSONPIPE_STORAGE (what all nodes of a cluster see: a shared folder, s3://bucket/folder, ...).

Nodes are not expected to share a disk. The project's code goes to them with the work; pictures and
models go as parcels, by the storage if there is one, else by Ray's object store; what is made
comes back the same way.
"""

from lessonpipe.cluster.carry import carry
from lessonpipe.cluster.spread import spread
from lessonpipe.cluster.start import address, running, worker_count
from lessonpipe.cluster.train import report, train

__all__ = ["address", "carry", "report", "running", "spread", "train", "worker_count"]
