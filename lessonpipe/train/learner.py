"""What can be fitted: a network with a loss and its optimizer. Two that take turns: gan.py."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from lessonpipe.config import Frozen, TrainPhase
from lessonpipe.device import Worker
from lessonpipe.nets.blocks import sync_batch_norm
from lessonpipe.train.schedule import AdamWConfig, OneCycle, adamw

LossTerms = dict[str, Tensor]  # by name; they become columns of the history


@dataclass(frozen=True)
class Step:
    """The loss terms of one training step, and whether it changed the learner's `net`."""

    terms: LossTerms
    updates_net: bool = True


class Evaluable(Protocol):
    """What can be validated."""

    @property
    def net(self) -> nn.Module:
        """The network that is validated, averaged and saved."""
        ...

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """Returns the loss terms and the metrics of a batch, means over it."""
        ...


class Learner(Evaluable, Protocol):
    """What `fit` trains. It owns its optimizers, and says what one step is.

    `ema` is the decay of the average of its weights, 0 for none; `ema_warmup` whether that average
    starts short, as it should for a network that starts untrained.
    """

    ema: float
    ema_warmup: ClassVar[bool]

    def prepare(self, worker: Worker) -> None:
        """Move everything to the worker's device."""
        ...

    def start_phase(self, phase: TrainPhase, steps: int) -> None:
        """Freeze what `phase` says, and make new optimizers for its `steps`."""
        ...

    def start_epoch(self) -> None:
        """Set training mode."""
        ...

    def train_step(self, x: Tensor, y: Tensor, share: float, step: int) -> Step:
        """One step on this worker's `share` of the global batch; `step` counts in its phase."""
        ...

    def epoch_row(self, means: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """The columns of the history from each term's mean over the steps that had it."""
        ...

    def after_epoch(self, epoch: int) -> None:
        """Called on the first worker after validation, while `net` has its averaged weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: weights, optimizers, and whose turn it is."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, in the phase that it was saved in."""
        ...

    def finish(self) -> None:
        """Set evaluation mode."""
        ...


@dataclass
class SupervisedLearner(ABC):
    """One network, trained by one-cycle AdamW on the sum of its loss terms."""

    net: nn.Module
    optim: AdamWConfig = field(default_factory=AdamWConfig)
    ema: float = 0.0
    ema_warmup: ClassVar[bool] = True

    @abstractmethod
    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The named terms of the loss for inputs `x` and targets `y`."""

    @abstractmethod
    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """Returns the loss terms and the metrics of a batch, means over it."""

    def param_groups(self) -> Sequence[Sequence[nn.Parameter]]:
        """The parameters in groups that may have rates of their own; here one group."""
        return [list(self.net.parameters())]

    def freeze(self, frozen: Frozen) -> None:
        """Freeze what of the network is pretrained; here nothing is."""

    def prepare(self, worker: Worker) -> None:
        """Move the network to the worker's device; its batch norms see all workers' batches."""
        self.worker = worker
        self.net = worker.prepare(sync_batch_norm(self.net, worker.device, worker.world))

    def start_phase(self, phase: TrainPhase, steps: int) -> None:
        """Freeze what `phase` says; a new optimizer and a new cycle."""
        self.freeze(phase.frozen)
        self.optimizer = adamw(self.param_groups(), phase.max_lr, self.optim)
        self.cycle = OneCycle(steps, phase.pct_start)

    def start_epoch(self) -> None:
        """Set training mode."""
        self.net.train()

    def train_step(self, x: Tensor, y: Tensor, share: float, step: int) -> Step:
        """Set the rate of `step`, then one step of the optimizer."""
        self.cycle.apply(self.optimizer, step)
        return self.optimizer_step(x, y, share)

    def optimizer_step(self, x: Tensor, y: Tensor, share: float) -> Step:
        """One step of the optimizer at the rate that it has."""
        worker = self.worker
        self.optimizer.zero_grad(set_to_none=True)
        with worker.autocast():
            terms = self.loss_terms(worker.batch_to_device(x), worker.batch_to_device(y))
        # the loss is a mean over this worker's part: scaled by its share, gradients can be summed
        (torch.stack(list(terms.values())).sum() * share).backward()
        worker.all_reduce_gradients(p for g in self.optimizer.param_groups for p in g["params"])
        self.optimizer.step()
        return Step(terms)

    def epoch_row(self, means: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """The loss, which is the sum of its terms, and every term."""
        columns = {f"train_{name}": mean for name, mean in means.items()}
        return {"train_loss": sum(means.values()), **columns}

    def after_epoch(self, epoch: int) -> None:
        """Nothing is to be done."""

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimizer."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])

    def finish(self) -> None:
        """Set evaluation mode."""
        self.net.eval()
