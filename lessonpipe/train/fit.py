"""The training loop, for one network or two that take turns. Knows torch, not who launched it."""

import csv
import io
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.device import Worker
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar
from lessonpipe.train.callback import Callback, NoCallback
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.ema import EMA
from lessonpipe.train.learner import Evaluable, Learner
from lessonpipe.train.malloc import keep_freed_memory
from lessonpipe.train.meter import LossMeter, zeros
from lessonpipe.train.schedule import seed_step

Batch = tuple[Tensor, Tensor, float]
History = list[dict[str, float]]

P_contra = TypeVar("P_contra", bound=TrainPhase, contravariant=True)
P = TypeVar("P", bound=TrainPhase)


class Batches(Protocol):
    """The training batches of a phase."""

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        ...

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yields (input, target, weight), weight = this worker's share of the global batch.

        The same batches whenever the same `epoch` is asked for.
        """
        ...


class Data(Protocol[P_contra]):
    """Makes the batches of a phase."""

    def train_batches(self, phase: P_contra) -> Batches:
        """The training batches, shuffled and augmented."""
        ...

    def valid_batches(self, phase: P_contra) -> Iterator[Batch]:
        """Yields (input, target, weight), weight = how many of its samples count."""
        ...


def fit(
    learner: Learner,
    phases: Sequence[P],
    data: Data[P],
    worker: Worker,
    *,
    seed: int,
    checkpoint: Checkpoint,
    callback: Callback | None = None,
) -> History:
    """Train through the phases, one after the other, on the same weights; one row an epoch.

    Where the learner has an `ema`, the averaged weights are validated and remain in the end.

    Resumes from the checkpoint if there is one, and ends with the same bytes as if it had never
    stopped. The checkpoint's `seconds` are those of all its epochs, whenever they were run.
    `callback` is called as it goes, on every worker. Raises `UserError` when the loss is NaN or
    infinite.
    """
    start = time.perf_counter()
    callback = callback or NoCallback()
    if worker.device.type == "cpu":
        keep_freed_memory()
    learner.prepare(worker)
    ema = EMA(learner.net, learner.ema, warmup=learner.ema_warmup)
    state = checkpoint.load() or {"phase": 0, "epoch": 0, "history": []}
    history: History = state["history"]
    steps_done = state.get("step", 0)  # over all phases
    start -= state.get("seconds", 0.0)
    if "ema" in state:
        ema.load_state_dict(state["ema"])
        if worker.rank == 0:
            print(f"resuming after epoch {len(history)}", flush=True)
    callback.on_train_start(steps_done)
    for number, phase in enumerate(phases):
        if number < state["phase"] or phase.epochs == 0:
            continue
        batches = data.train_batches(phase)
        learner.start_phase(phase, batches.steps * phase.epochs)
        first = 0
        if number == state["phase"] and "learner" in state:
            learner.load_state_dict(state["learner"])
            first = state["epoch"]
        for epoch in range(first, phase.epochs):
            title = phase.title(f"phase {number + 1} epoch {epoch + 1}")
            bar = _progress(batches.epoch(epoch_seed(number, epoch)), title, batches.steps, worker)
            # no two steps of a run may share a seed: a phase has fewer than a million steps
            first_step = epoch * batches.steps
            seeds = (seed, number * 1_000_000)
            trained = _train_epoch(learner, ema, bar, first_step, seeds, worker, callback)
            stop_at_nan(trained, f"phase {number + 1}, epoch {epoch + 1}")
            with ema.applied_to(learner.net):
                validated = validate(learner, data.valid_batches(phase), worker)
                if worker.rank == 0:
                    learner.after_epoch(len(history) + 1)
            row = {"epoch": len(history) + 1, **phase.history_columns, **trained, **validated}
            history.append(row)
            steps_done += batches.steps
            callback.on_validation_end(row)
            if worker.rank == 0:
                checkpoint.save(
                    {
                        "phase": number,
                        "epoch": epoch + 1,
                        "step": steps_done,
                        "learner": learner.state_dict(),
                        "ema": ema.state_dict(),
                        "history": history,
                        "seconds": time.perf_counter() - start,
                    }
                )
                print(describe(row), flush=True)
            callback.on_epoch_end(row)
    ema.copy_to(learner.net)
    learner.finish()
    callback.on_train_end()
    return history


def epoch_seed(phase: int, epoch: int) -> int:
    """The number that an epoch's order is drawn from; a phase has fewer than a thousand epochs."""
    return phase * 1000 + epoch


def _train_epoch(
    learner: Learner,
    ema: EMA,
    batches: Iterator[Batch],
    first_step: int,
    seeds: tuple[int, int],
    worker: Worker,
    callback: Callback,
) -> dict[str, float]:
    """Train on the batches of one epoch; returns the learner's columns of the history."""
    learner.start_epoch()
    seed, offset = seeds
    meter = LossMeter(learner, worker)
    for step, (x, y, share) in enumerate(batches, first_step):
        seed_step(seed, offset + step, worker.rank)
        done = learner.train_step(x, y, share, step)
        if done.updates_net:
            ema.update(learner.net)
        meter.add(done.terms, share)
        callback.on_step_end(meter.recent)
    return meter.epoch()


@torch.no_grad()
def validate(learner: Evaluable, batches: Iterator[Batch], worker: Worker) -> dict[str, float]:
    """Mean loss terms and metrics over the validation samples, each worker doing its share."""
    learner.net.eval()
    sums = zeros(worker)
    total = 0.0
    for x, y, count in batches:
        with worker.autocast():
            terms, metrics = learner.validation_step(
                worker.batch_to_device(x), worker.batch_to_device(y)
            )
            values = {"loss": torch.stack(list(terms.values())).sum(), **terms, **metrics}
        for name, value in values.items():
            sums[name] += value.to(worker.sum_dtype) * count
        total += count
    totals = worker.reduce_sums({**sums, "count": total})
    total = totals.pop("count")
    return {f"valid_{name}": value / total for name, value in totals.items()}


def _progress(batches: Iterator[Batch], title: str, steps: int, worker: Worker) -> Any:
    """A progress bar over training steps, on the first worker only."""
    if worker.rank > 0:
        return batches
    return progress_bar(batches, title, total=steps, unit="step")


def stop_at_nan(row: Mapping[str, float], where: str) -> None:
    """Raise `UserError` when a training loss is NaN or infinite."""
    for name, loss in row.items():
        if not math.isfinite(loss):
            raise UserError(
                f"{name} is {loss} in {where}; lower max_lr, or set precision: fp32, and run the "
                "stage again: it resumes after the last good epoch"
            )


def describe(row: Mapping[str, float]) -> str:
    """A row of the history as one line of text."""
    return "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


def last_row(history: History) -> dict[str, float]:
    """The row of the last epoch; empty when there was none."""
    return history[-1] if history else {}


def as_csv(history: History) -> str:
    """The history as a CSV table with a header, for plots."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(
        [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in history]
    )
    return text.getvalue()
