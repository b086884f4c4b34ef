"""How many CPUs each worker gets; a Ray that does not start."""

import pytest

from lessonpipe.cluster.ray_train import cpus_for
from lessonpipe.cluster.session import ray_session
from lessonpipe.errors import LessonpipeError


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


def test_a_ray_that_does_not_start_in_time_is_told_in_a_sentence(monkeypatch):
    import ray

    def slow(*args, **options):
        raise Exception("The current node timed out during startup. This could happen because")

    monkeypatch.setattr(ray, "init", slow)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(LessonpipeError, match="busy otherwise: run it again"), ray_session(1):
        pass
