"""How near a training step comes to what the processor can do, and what its data cost.

    python -m tests.bench.limit    # after `dvc repro crappify`; a minute, where nothing else runs

The limit is the rate of a large matrix product; a step's own rate is of the products in its
convolutions, attention and linear layers, forwards and backwards, over all of its time.
"""

import statistics
from collections.abc import Callable
from itertools import islice

import torch
from torch.utils.flop_counter import FlopCounterMode

from tasks import pretrain_generator
from tasks.pipeline.params import load
from tests.bench import ours
from tests.bench.rounds import OURS, contest


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """The median time, after one that does not count."""
    return statistics.median(contest("limit", "", {OURS: work}, rounds).values[OURS])


def limit(dtype: torch.dtype, n: int = 2048) -> float:
    """Operations a second of an `n n` by `n n` product."""
    a, b = torch.randn(2, n, n, dtype=dtype)
    return 2 * n**3 / seconds(lambda: a @ b)


def operations(step: Callable[[], object]) -> int:
    """Of a step's products; an addition and a multiplication are two."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def main() -> None:
    """Print the limit in the precision that is used here, two steps, and the cost of data."""
    p = load(pretrain_generator.Params, "pretrain_generator")
    phase = p.phases[0]
    learner, data, worker = pretrain_generator.build(p)
    batches = data.train_batches(phase)
    learner.prepare(worker)
    learner.start_phase(phase, batches.steps)
    learner.start_epoch()

    def fetch() -> list[tuple[torch.Tensor, torch.Tensor, float]]:
        return list(islice(batches.epoch(0), 8))

    x, y, _ = fetch()[0]
    steps = {
        f"the sample's generator, {len(x)} of {phase.image_px}": lambda: learner.optimizer_step(
            x, y, 1.0
        ),
        "the lesson's generator, 8 of 128": ours.generator_step(
            *ours.pictures(8, 128), frozen=False
        ),
    }
    kind, most = str(worker.dtype).removeprefix("torch."), limit(worker.dtype)
    print(f"a matrix product in {kind}: {most / 1e9:.0f} GFLOP/s", flush=True)
    spent = {}
    for name, step in steps.items():
        count, spent[name] = operations(step), seconds(step)
        print(
            f"{name}: {count / 1e9:.0f} GFLOP in {spent[name]:.3f} s = "
            f"{count / spent[name] / most:.0%} of the limit",
            flush=True,
        )
    each, first = seconds(fetch) / 8, next(iter(spent.values()))
    print(f"its data: {each * 1000:.1f} ms a batch, {each / first:.1%} of a step")


if __name__ == "__main__":
    main()
