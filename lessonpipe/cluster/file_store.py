"""How training workers of one machine find each other: by a file of the session.

Torch's own way, a store of their addresses on a port, listens on every network and asks nobody for
a token.
"""

import tempfile
from pathlib import Path
from typing import Any


def file_store_config() -> Any:
    """Ray Train's `TorchConfig` whose process group meets in a file of the Ray session's folder."""
    import ray
    from ray.train.torch import TorchConfig, config

    class FileBackend(config._TorchBackend):  # type: ignore[misc]
        def on_start(self, worker_group: Any, backend_config: Any) -> None:
            session = ray._private.worker._global_node.get_session_dir_path()
            store = Path(tempfile.mkdtemp(dir=session), "store")  # as long as the group lives
            gpus = worker_group.get_resources_per_worker().get("GPU", 0)
            group = {
                "backend": "nccl" if gpus else "gloo",
                "world_size": len(worker_group),
                "init_method": store.as_uri(),
            }
            worker_group.execute(config._set_torch_distributed_env_vars)
            start = config._setup_torch_process_group
            ray.get(
                [
                    worker_group.execute_single_async(rank, start, world_rank=rank, **group)
                    for rank in range(len(worker_group))
                ]
            )

    class FileStoreConfig(TorchConfig):  # type: ignore[misc]
        @property
        def backend_cls(self) -> type[FileBackend]:
            return FileBackend

    return FileStoreConfig()
