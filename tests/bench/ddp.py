"""Our flat sum of gradients beside torch's DDP, by two workers on this machine's processor.

    python -m tests.bench.ddp       # a minute or two, where nothing else runs

The lesson's U-Net, some forty million parameters, one thread a worker, gloo. A step is forward,
backward and the sum; the three take turns, so that a busy moment hits all alike. DDP sums buckets
of 25 MB while the backward pass goes on, and averages, where ours sums what is scaled by each
worker's share of the batch.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from lessonpipe.device import Worker
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.train.malloc import keep_freed_memory

ROUNDS, PX, BATCH = 8, 96, 2
NET = UnetConfig(encoder="resnet34", attention=True)


def time_steps(rank: int, folder: str) -> None:
    """Measure as one of two workers; the first prints."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as a training does: a new flat tensor's pages cost more than its sum
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = Generator(NET, pretrained=False)
    worker = Worker(torch.device("cpu"), torch.float32, rank, 2)
    both = DistributedDataParallel(net)
    x = torch.rand(BATCH, 3, PX, PX)

    def step(called: torch.nn.Module, *, flat: bool) -> float:
        net.zero_grad()
        dist.barrier()
        start = time.perf_counter()
        called(x).square().mean().backward()
        if flat:
            worker.all_reduce_gradients(net.parameters())
        return time.perf_counter() - start

    ways = {
        "no sum": lambda: step(net, flat=False),
        "flat": lambda: step(net, flat=True),
        "DDP": lambda: step(both, flat=False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, ROUNDS):
        for name, way in ways.items():
            took = way()
            if number >= 0:  # the one before does not count
                seconds[name].append(took)
    if rank == 0:
        count = sum(p.numel() for p in net.parameters())
        print(f"{count / 1e6:.1f} million parameters, {BATCH} pictures of {PX} px a worker")
        for name, took in seconds.items():
            ratios = [a / b for a, b in zip(took, seconds["no sum"], strict=True)]
            print(
                f"{name:7} {statistics.median(took):6.2f} s a step, "
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                "times one without a sum"
            )
    dist.destroy_process_group()


def main() -> None:
    """Run both workers."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(time_steps, (str(Path(folder).resolve()),), nprocs=2)


if __name__ == "__main__":
    main()
