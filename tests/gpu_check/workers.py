"""Two workers on one GPU by gloo, and as many as there are GPUs by NCCL, against one alone.

NCCL refuses two processes on one GPU: where there is one, its group has one member, which still
loads the library and sums on the device.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from lessonpipe.config import Phase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.losses import PixelLoss
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.generator import GeneratorLearner
from tests import small
from tests.bench.ours import pictures
from tests.forked import Forked
from tests.gpu_check.check import Case, Check, Result

NEAR = 2e-3  # of each loss, as tests/train/test_workers.py has it
SECONDS = 120.0  # for a group, with the time that a process needs to start
PHASE = Phase(image_px=64, batch=8, epochs=2, max_lr=1e-3)
Curve = list[dict[str, float]]


def train_as(rank: int, world: int, backend: str | None) -> None:
    """Train 18 pairs in this folder as one of `world`: the last batch is of two."""
    if backend:
        address = f"file://{Path(f'rendezvous-{backend}').resolve()}"
        dist.init_process_group(backend, init_method=address, rank=rank, world_size=world)
    torch.backends.cudnn.allow_tf32 = False
    worker = Worker.current("fp32")
    if backend:
        total = torch.ones(1, device=worker.device)
        dist.all_reduce(total)
        assert float(total) == world, total
    x, y = pictures(18, PHASE.image_px)
    net = small.generator(norm="batch", output="correction")
    data = TensorData((x, y), (x[:4], y[:4]), 1, worker)
    learner = GeneratorLearner(net, loss=worker.to_device(PixelLoss("mse", net.encoder.std)))
    curve = fit(learner, [PHASE], data, worker, seed=1, checkpoint=Checkpoint(None))
    if rank == 0:
        Path("curve.json").write_text(json.dumps(curve))
    if backend:
        dist.destroy_process_group()


def curve_of(folder: Path, world: int, backend: str | None, device: str) -> Curve:
    """The losses of `world` processes. Raises `RuntimeError` with what a failed one printed."""
    group = [
        Forked(
            folder, f"worker{rank}", train_as, rank, world, backend,
            LESSONPIPE_DEVICE=device, LOCAL_RANK=str(rank),
        )
        for rank in range(world)
    ]  # fmt: skip
    try:
        for one in group:
            one.process.join(SECONDS)
            if one.process.exitcode != 0:
                raise RuntimeError(one.text().strip().splitlines()[-1:] or "it took too long")
    finally:
        for one in group:
            if one.process.is_alive():
                one.kill()
    return json.loads((folder / "curve.json").read_text())


def cases(check: Check) -> Iterator[Case]:
    """Each group of workers; the first case is what they are compared with."""
    cuda = check.device.type == "cuda"
    alone: Curve = []

    def compare(world: int, backend: str, device: str) -> Result:
        curve = curve_of(folder, world, backend, device)
        names = ("train_loss", "valid_loss")
        off = max(abs(a[n] / b[n] - 1) for a, b in zip(curve, alone, strict=True) for n in names)
        text = f"losses {off:.0e} from one worker's after {len(alone)} epochs"
        return Result(text, {"workers": world, "off": off}, off <= NEAR)

    def one() -> Result:
        alone.extend(curve_of(folder, 1, None, device))
        return Result(f"loss {alone[-1]['train_loss']:.4f}", {"curve": alone})

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        device = "cuda:0" if cuda else "cpu"  # with no number each would look for its own
        yield "one worker", one
        yield "two workers on one device, gloo", lambda: compare(2, "gloo", device)
        count = torch.cuda.device_count() if cuda else 1
        backend, place = ("nccl", "cuda") if cuda else ("gloo", "cpu")
        title = f"{count} worker{'s' * (count > 1)}, {backend}"
        yield title, lambda: compare(count, backend, place)
