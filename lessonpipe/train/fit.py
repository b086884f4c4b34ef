"""Fit one network. Knows torch; does not know who launched it."""

import csv
import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.device import Worker
from lessonpipe.errors import UserError
from lessonpipe.io.progress import progress_bar
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.ema import EMA
from lessonpipe.train.schedule import OneCycle, adamw, seed_step

Rate = Annotated[float, Field(gt=0)]
Frozen = bool | Literal["early"]
LossTerms = dict[str, Tensor]
History = list[dict[str, float]]


class TrainPhase(StrictModel):
    """Some epochs with one schedule.

    `batch` is the global batch, over all workers. `max_lr` is one rate, or the two between which
    the groups' rates are spaced; `warmup` the share of the steps in which it rises. `frozen` says
    what of a pretrained encoder does not learn: all, the `early` part up to 1/8, or nothing. An
    epoch is every training picture once, or so many `pictures`.
    """

    batch: int = Field(ge=1)
    epochs: int = Field(ge=0)
    max_lr: Rate | tuple[Rate, Rate]
    warmup: float = Field(0.3, ge=0, lt=1)
    frozen: Frozen = False
    pictures: int | None = Field(None, ge=1)

    @property
    def history_columns(self) -> dict[str, int]:
        """What a row of the history says of it."""
        return {}

    def title(self, words: str) -> str:
        """These words, and of what size it is if it has one: for a progress bar."""
        return " at ".join([words, *map(str, self.history_columns.values())])


class Phase(TrainPhase):
    """Some epochs at one size with one schedule; progressive resize is a list of these."""

    image_px: int = Field(ge=32, le=4096, multiple_of=32)

    @property
    def history_columns(self) -> dict[str, int]:
        """The size, in pixels."""
        return {"px": self.image_px}


P_contra = TypeVar("P_contra", bound=TrainPhase, contravariant=True)
P = TypeVar("P", bound=TrainPhase)


class Batches(Protocol):
    """An endless supply of training batches: `steps` an epoch, the same whenever it is asked."""

    @property
    def steps(self) -> int: ...

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """What goes in and what should come out, and the share of the global batch they are."""
        ...


class Data(Protocol[P_contra]):
    """Makes the batches of a phase."""

    def train_batches(self, phase: P_contra) -> Batches: ...

    def valid_batches(self, phase: P_contra) -> Iterator[tuple[Tensor, Tensor, float]]:
        """What goes in and what should come out, and how many of them count."""
        ...


class Evaluable(Protocol):
    """What can be validated: a network, the terms of its loss, and measures of what it does."""

    @property
    def net(self) -> nn.Module: ...

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The named terms of the loss, to be added up."""
        ...

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, LossTerms]:
        """The terms, and named measures for validation pictures, means over the batch."""
        ...


class Learner(Evaluable, Protocol):
    """What can be fitted: its parameters in groups, and how it freezes."""

    def param_groups(self) -> Sequence[Sequence[nn.Parameter]]: ...

    def freeze(self, frozen: Frozen) -> None: ...


def fit(
    learner: Learner,
    phases: Sequence[P],
    data: Data[P],
    worker: Worker,
    *,
    weight_decay: float,
    seed: int,
    checkpoint: Checkpoint,
    ema: float = 0.0,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> History:
    """Run the phases one after the other on the same weights; returns one row an epoch.

    With `ema` above 0 what is validated and comes out is the exponential mean of the weights of the
    last 1 / (1 - ema) steps or so.

    Goes on from the checkpoint if there is one, and ends with the same bytes as if it had never
    stopped. The checkpoint's `seconds` are those of all its epochs, whenever they were run. Raises
    `UserError` when the loss is no number any more.
    """
    start = time.perf_counter()
    net = worker.prepare(learner.net)
    state = checkpoint.load() or {"phase": 0, "epoch": 0, "history": []}
    if "net" in state:
        net.load_state_dict(state["net"])
        if worker.rank == 0:
            print(f"going on after epoch {len(state['history'])}", flush=True)
    mean = EMA(net, ema)
    if "mean" in state:
        mean.load_state_dict(state["mean"])
    history: History = state["history"]
    start -= state.get("seconds", 0.0)
    for number, phase in enumerate(phases):
        if number < state["phase"] or phase.epochs == 0:
            continue
        learner.freeze(phase.frozen)
        optimizer = adamw(learner.param_groups(), phase.max_lr, weight_decay=weight_decay)
        first = 0
        if number == state["phase"] and "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
            first = state["epoch"]
        if first == phase.epochs:
            continue
        batches = data.train_batches(phase)
        cycle = OneCycle(batches.steps * phase.epochs, phase.warmup)
        for epoch in range(first, phase.epochs):
            title = phase.title(f"phase {number + 1} epoch {epoch + 1}")
            trained = _train_epoch(
                learner, optimizer, mean, cycle, batches, number, epoch, worker, seed, title
            )
            with mean.applied_to(net):
                tested = validate(learner, data.valid_batches(phase), worker)
            row = {"epoch": len(history) + 1, **phase.history_columns, **trained, **tested}
            history.append(row)
            if worker.rank == 0:  # kept before it is told: what was told is not lost
                checkpoint.save(
                    {
                        "phase": number,
                        "epoch": epoch + 1,
                        "net": net.state_dict(),
                        "mean": mean.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "history": history,
                        "seconds": time.perf_counter() - start,
                    }
                )
                print(describe(row), flush=True)
            report(row)
    mean.copy_to(net)
    net.eval()
    return history


def _train_epoch(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    mean: EMA,
    cycle: OneCycle,
    batches: Batches,
    phase: int,
    epoch: int,
    worker: Worker,
    seed: int,
    title: str,
) -> dict[str, float]:
    learner.net.train()
    step = epoch * batches.steps
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    loader = batches.epoch(phase * 1000 + epoch)
    for x, y, share in step_progress(loader, title, batches.steps, worker):
        cycle.apply(optimizer, step)
        seed_step(seed, phase * 1_000_000 + step, worker.rank)
        terms = train_step(learner, optimizer, x, y, share, worker)
        mean.update(learner.net, step if phase == 0 else None)
        for name, value in terms.items():
            sums[name] += value.detach().double().cpu() * share
        step += 1
    means = {f"train_{k}": v / batches.steps for k, v in worker.reduce_sums(sums).items()}
    means = {"train_loss": sum(means.values()), **means}
    stop_at_nan(means["train_loss"], f"phase {phase + 1}, epoch {epoch + 1}")
    return means


def train_step(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    share: float,
    worker: Worker,
) -> LossTerms:
    """One step of the optimizer on one batch; answers with the terms of the loss before it."""
    optimizer.zero_grad(set_to_none=True)
    with worker.autocast():
        terms = learner.loss_terms(worker.batch_to_device(x), worker.batch_to_device(y))
    (torch.stack(list(terms.values())).sum() * share).backward()
    worker.all_reduce_gradients(p for group in optimizer.param_groups for p in group["params"])
    optimizer.step()
    return terms


@torch.no_grad()
def validate(
    learner: Evaluable, batches: Iterator[tuple[Tensor, Tensor, float]], worker: Worker
) -> dict[str, float]:
    """Mean terms and measures over the validation pictures, each worker doing its share."""
    learner.net.eval()
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    for x, y, count in batches:
        with worker.autocast():
            terms, measures = learner.validation_step(
                worker.batch_to_device(x), worker.batch_to_device(y)
            )
            values = {"loss": torch.stack(list(terms.values())).sum(), **terms, **measures}
        for name, value in values.items():
            sums[name] += value.double().cpu() * count
        sums["count"] += count
    totals = worker.reduce_sums(sums)
    count = totals.pop("count")
    return {f"valid_{name}": total / count for name, total in totals.items()}


def step_progress(loader: Any, title: str, total: int, worker: Worker) -> Any:
    """A progress bar over training steps, on the first worker only."""
    return progress_bar(loader, title, total=total, unit="step") if worker.rank == 0 else loader


def stop_at_nan(loss: float, where: str) -> None:
    """Raise `UserError` when `loss` is no number any more."""
    if not math.isfinite(loss):
        raise UserError(
            f"the loss is {loss} in {where}; lower max_lr, or set precision: fp32, and run the "
            "stage again: it goes on from the last good epoch"
        )


def describe(row: Mapping[str, float]) -> str:
    """One line for people."""
    return "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


def last_row(history: History) -> dict[str, float]:
    """The row of the last epoch; nothing when none was asked for."""
    return history[-1] if history else {}


def as_csv(history: History) -> str:
    """The history as a table with a heading, for plots."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(
        [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in history]
    )
    return text.getvalue()
