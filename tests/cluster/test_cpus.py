"""How many CPUs each worker gets; a Ray that does not start; a long TMPDIR."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lessonpipe.cluster import session
from lessonpipe.cluster.ray_train import cpus_for
from lessonpipe.cluster.session import ray_session
from lessonpipe.errors import LessonpipeError, UserError
from tests.conftest import PATIENCE


@pytest.mark.parametrize(
    ("workers", "nodes", "cpus"),
    [
        (1, [2], 2),
        (2, [2], 1),
        (2, [2, 2], 2),
        (1, [2, 8], 8),  # a worker lives on one node
        (3, [8, 2], 2),
        (2, [3, 1], 1),
        (4, [1], 1),  # they wait for more nodes
    ],
)
def test_workers_take_all_that_their_nodes_have(workers: int, nodes: list[int], cpus: int) -> None:
    assert cpus_for(workers, nodes) == cpus


def test_a_ray_that_does_not_start_in_time_is_started_again_then_told_in_a_sentence(monkeypatch):
    import ray

    folders, start = [], ray.init

    def slow(*args, **options):
        folders.append(options["_temp_dir"])
        if len(folders) <= late:
            raise Exception("The current node timed out during startup. This could happen because")
        return start(*args, **options)

    monkeypatch.setattr(ray, "init", slow)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    late = 2
    with ray_session(1) as cpus:
        assert cpus == 1 and ray.is_initialized()
    assert not ray.is_initialized()
    assert len(set(folders)) == 3 and not any(map(os.path.exists, folders))
    late = 6
    with pytest.raises(LessonpipeError, match="busy otherwise: run it again"), ray_session(1):
        pass
    assert len(folders) == 6


LONG = """
import os, tempfile
from lessonpipe import cluster
from torch.utils.data import DataLoader, TensorDataset
import torch

with cluster.ray_session(1):
    import ray
    session = os.path.realpath(ray._private.worker._global_node.get_session_dir_path())
    print(session.startswith(os.path.realpath(os.environ["TMPDIR"]) + "/ray-"))
    print(ray.get(ray.remote(lambda: os.environ["TMPDIR"]).remote()) == os.environ["TMPDIR"])
data = TensorDataset(torch.arange(6.0))
print(sum(x.sum().item() for x, in DataLoader(data, batch_size=2, num_workers=1)))
print(os.path.realpath(tempfile.gettempdir()))
print(os.environ["TMPDIR"])
"""


def test_a_long_folder_for_temporary_files_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    done = subprocess.run(
        [sys.executable, "-c", LONG],
        env={k: v for k, v in os.environ.items() if k != "RAY_TMPDIR"} | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    *told, link = done.stdout.splitlines()
    assert told == ["True", "True", "15.0", str(folder)], done.stderr
    assert not list(folder.glob("ray-*"))
    assert link != str(folder) and not os.path.lexists(link)


def test_where_no_short_folder_can_be_made_a_sentence_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SHORT_PLACES", (str(tmp_path / "none"),))
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("long-" * 20)))
    with pytest.raises(UserError, match="set TMPDIR to a folder of at most 24 bytes"):
        session.shorten_temp_dirs()
