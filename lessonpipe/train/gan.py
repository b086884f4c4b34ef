"""Fit two networks that take turns (Goodfellow et al. 2014, in the lesson's form)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lessonpipe.device import Worker
from lessonpipe.losses.gan import accuracy, adversarial_loss
from lessonpipe.metrics import psnr_metrics
from lessonpipe.nets.critic import Critic
from lessonpipe.nets.generator import Generator
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.ema import EMA
from lessonpipe.train.fit import (
    Batches,
    Data,
    Evaluable,
    Frozen,
    History,
    LossTerms,
    P,
    describe,
    step_progress,
    stop_at_nan,
    validate,
)
from lessonpipe.train.gan_switch import Switch, Turn
from lessonpipe.train.schedule import adamw, layerwise_rates, seed_step


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """How badly a critic tells them apart, from its logits for both: 0.69 by chance."""
    return (adversarial_loss(real, real=True) + adversarial_loss(fake, real=False)) / 2


class Rivals(Evaluable, Protocol):
    """A generator and a critic, and what each wants."""

    @property
    def generator(self) -> nn.Module:
        """Makes something of `x`."""
        ...

    @property
    def critic(self) -> nn.Module:
        """Says how real it looks."""
        ...

    def critic_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The named terms of the critic's loss; `terms` has the generator's."""
        ...

    def after_turn(self, turn: Turn) -> None:
        """What is to be done after a step, as clipping weights."""
        ...

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free what of the generator can be frozen."""
        ...


@dataclass
class GanLearner:
    """Two networks, the generator's loss on pictures, and the weight of the critic's word.

    `train_bn` tells whether the batch norms of the generator's encoder train.
    """

    generator: Generator
    critic: Critic
    loss: Callable[[Tensor, Tensor], LossTerms]
    critic_weight: float = 1.0
    train_bn: bool = False

    @property
    def net(self) -> nn.Module:
        """What validation looks at."""
        return self.generator

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The generator's loss: fool the critic, and stay near the photo."""
        made = self.generator(x)
        return self._terms(made, y, self.critic(made))

    def critic_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The critic's loss on what the generator makes now, clamped to 0...1, and the photo."""
        with torch.no_grad():
            fake = self.generator(x).clamp(0, 1)
        return {"critic_loss": critic_loss(self.critic(y), self.critic(fake))}

    def after_turn(self, turn: Turn) -> None:
        """Nothing more is done to the network whose turn it was."""

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, LossTerms]:
        """That, and PSNR, its gain over crappy, and how often the critic is right."""
        made = self.generator(x)
        fake, real = self.critic(made), self.critic(y)
        right = (accuracy(fake, real=False) + accuracy(real, real=True)) / 2
        return self._terms(made, y, fake), {**psnr_metrics(made, x, y), "accuracy": right}

    def _terms(self, made: Tensor, y: Tensor, fake: Tensor) -> LossTerms:
        return {
            **self.loss(made, y),
            "critic": self.critic_weight * adversarial_loss(fake, real=True),
        }

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the generator's encoder."""
        self.generator.encoder.freeze(frozen, train_bn=self.train_bn)


def fit_turns(
    learner: Rivals,
    phase: P,
    data: Data[P],
    worker: Worker,
    *,
    critic_times: float,
    momentum: float,
    weight_decay: float,
    switch: Switch,
    switch_eval: bool,
    ema: float,
    seed: int,
    checkpoint: Checkpoint,
    eps: float = 1e-5,
    after_epoch: Callable[[int, nn.Module], None] = lambda epoch, net: None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> History:
    """Train both for the epochs of `phase`, each step one's or the other's as `switch` says.

    The rate stays as it is from start to end. Adam with betas (`momentum`, 0.99), in the lesson
    without momentum, which hurts when turns alternate, and `eps`, which must be small beside the
    gradients; the critic's rate is `critic_times` the generator's. With `ema` above 0 the generator
    that comes out is the exponential mean of its steps. `after_epoch` gets the epoch's number and
    that generator. Resumes like `fit`.

    As in fastai v1 each network has its optimizer; v2's one for both goes on decaying the network
    whose turn it is not. Other than there, the critic learns from pictures clamped to 0...1.
    """
    generator, critic = worker.prepare(learner.generator), worker.prepare(learner.critic)
    learner.freeze(phase.frozen)
    betas, rate = (momentum, 0.99), layerwise_rates(phase.max_lr, 1)[0]
    optimizers = {
        name: adamw([_learning(net)], r, weight_decay=weight_decay, betas=betas, eps=eps)
        for name, net, r in (
            ("generator", generator, rate),
            ("critic", critic, rate * critic_times),
        )
    }
    mean = EMA(generator, ema)
    parts: dict[str, Any] = {"generator": generator, "critic": critic, "mean": mean}
    parts |= {f"{name}_steps": optimizer for name, optimizer in optimizers.items()}
    history: History = []
    first = 0
    if (state := checkpoint.load()) is not None:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        switch.resume(state["switch"])
        history, first = state["history"], state["epoch"]
        if worker.rank == 0:
            print(f"going on after epoch {first}", flush=True)
    batches = data.train_batches(phase)
    for epoch in range(first, phase.epochs):
        row: dict[str, float] = {"epoch": epoch + 1}
        title = phase.title(f"epoch {epoch + 1}")
        row |= _train_epoch(
            learner, optimizers, mean, switch, batches, epoch, worker, switch_eval, seed, title
        )
        with mean.applied_to(generator):
            row |= validate(learner, data.valid_batches(phase), worker)
            if worker.rank == 0:
                after_epoch(epoch + 1, generator)
        history.append(row)
        if worker.rank == 0:  # kept before it is told: what was told is not lost
            saved = {name: part.state_dict() for name, part in parts.items()}
            more = {"switch": switch.state(), "epoch": epoch + 1, "history": history}
            checkpoint.save({**saved, **more})
            print(describe(row), flush=True)
        report(row)
    mean.copy_to(generator)
    generator.eval()
    critic.eval()
    return history


def _train_epoch(
    learner: Rivals,
    optimizers: dict[str, torch.optim.AdamW],
    mean: EMA,
    switch: Switch,
    batches: Batches,
    epoch: int,
    worker: Worker,
    switch_eval: bool,
    seed: int,
    title: str,
) -> dict[str, float]:
    generator, critic = learner.generator, learner.critic
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    turns = {"critic": 0, "generator": 0}
    loader = batches.epoch(epoch)
    learning: dict[Turn, list[nn.Parameter]] = {
        "generator": _learning(generator),
        "critic": _learning(critic),
    }
    for step, (x, y, share) in enumerate(step_progress(loader, title, batches.steps, worker)):
        seed_step(seed, epoch * batches.steps + step, worker.rank)
        turn = switch.turn
        generator.train(turn == "generator" or not switch_eval)
        critic.train(turn == "critic" or not switch_eval)
        x, y = worker.batch_to_device(x), worker.batch_to_device(y)
        terms = take_turn(learner, turn, optimizers[turn], learning, x, y, share, worker)
        if turn == "generator":
            mean.update(generator)
        total = sum(worker.reduce_sums({k: v.detach() * share for k, v in terms.items()}).values())
        stop_at_nan(total, f"epoch {epoch + 1}, {turn}")
        switch.after(total)
        turns[turn] += 1
        sums[f"{turn}_loss"] += total
    rows = {f"train_{t}_loss": float(sums[f"{t}_loss"]) / max(1, n) for t, n in turns.items()}
    return {**rows, **{f"{t}_steps": n for t, n in turns.items()}}


def take_turn(
    learner: Rivals,
    turn: Turn,
    optimizer: torch.optim.Optimizer,
    learning: Mapping[Turn, list[nn.Parameter]],
    x: Tensor,
    y: Tensor,
    share: float,
    worker: Worker,
) -> LossTerms:
    """One step of critic or generator on one batch, the other held still; answers with the terms.

    `learning` has the parameters of each that learn.
    """
    optimizer.zero_grad(set_to_none=True)
    with worker.autocast():
        if turn == "critic":
            terms = learner.critic_terms(x, y)
        else:
            with untrained(learning["critic"]):
                terms = learner.loss_terms(x, y)
                (torch.stack(list(terms.values())).sum() * share).backward()
    if turn == "critic":
        (torch.stack(list(terms.values())).sum() * share).backward()
    worker.all_reduce_gradients(learning[turn])
    optimizer.step()
    learner.after_turn(turn)
    return terms


class untrained:
    """Within the block the parameters get no gradients of their own."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)

    def __enter__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)


def _learning(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.requires_grad]
