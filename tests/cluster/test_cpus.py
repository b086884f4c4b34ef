"""How many CPUs each worker gets."""

import pytest

from lessonpipe.cluster.train import cpus_for


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
