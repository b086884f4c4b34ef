"""Two networks that take turns (Goodfellow et al. 2014, in the lesson's form)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.config import Frozen, StrictModel, TrainPhase
from lessonpipe.device import Worker
from lessonpipe.losses.gan import adversarial_loss, critic_accuracy, critic_loss
from lessonpipe.metrics import psnr_metrics
from lessonpipe.nets.blocks import sync_batch_norm
from lessonpipe.nets.critic import Critic
from lessonpipe.nets.generator import Generator
from lessonpipe.train.gan_switch import Adaptive, Fixed, Turn, make_switch
from lessonpipe.train.learner import LossTerms, Step
from lessonpipe.train.schedule import AdamWConfig, adamw, layerwise_rates


class GanConfig(StrictModel):
    """How generator and critic take turns.

    The critic's rate is `critic_lr_mult` times the generator's. With `switch_eval` the network
    whose turn it is not is in evaluation mode. `ema` is the decay of the generator's average.
    Adam without momentum (`beta1: 0`): it hurts when turns alternate.
    """

    optim: AdamWConfig
    critic_lr_mult: float = Field(5.0, gt=0)
    switch: Adaptive | Fixed = Field(discriminator="kind")
    switch_eval: bool = True
    ema: float = Field(0.0, ge=0, lt=1)


@dataclass
class GanLearner(ABC):
    """A generator and a critic, an optimizer each, and the switch that says whose turn it is.

    Rates stay as they are from start to end. As in fastai v1 each network has its optimizer; v2's
    one for both goes on decaying the network whose turn it is not. `sample` is called after every
    epoch with its number and the generator, averaged where there is an EMA.
    """

    generator: nn.Module
    critic: nn.Module
    config: GanConfig
    sample: Callable[[int, nn.Module], None] | None = None
    ema_warmup: ClassVar[bool] = False  # the generator starts trained, or learns far too long

    def __post_init__(self) -> None:
        self.switch = make_switch(self.config.switch)
        self.ema = self.config.ema

    @property
    def net(self) -> nn.Module:
        """The generator: what is validated, averaged and saved."""
        return self.generator

    @abstractmethod
    def generator_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The named terms of the generator's loss for inputs `x` and real images `y`."""

    @abstractmethod
    def critic_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The named terms of the critic's loss for inputs `x` and real images `y`."""

    @abstractmethod
    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """Returns the generator's loss terms and the metrics of a batch."""

    def freeze(self, frozen: Frozen) -> None:
        """Freeze what of the generator is pretrained; here nothing is."""

    def after_step(self, turn: Turn) -> None:
        """Called after a step of `turn`, such as to clip weights."""

    def prepare(self, worker: Worker) -> None:
        """Move both networks to the worker's device."""
        self.worker = worker
        self.generator, self.critic = (
            worker.prepare(sync_batch_norm(net, worker.device, worker.world))
            for net in (self.generator, self.critic)
        )

    def start_phase(self, phase: TrainPhase, steps: int) -> None:
        """Freeze what `phase` says; new optimizers."""
        self.freeze(phase.frozen)
        (rate,) = layerwise_rates(phase.max_lr, 1)
        self.trainable: dict[Turn, list[nn.Parameter]] = {
            "generator": _trainable(self.generator),
            "critic": _trainable(self.critic),
        }
        rates: dict[Turn, float] = {
            "generator": rate,
            "critic": rate * self.config.critic_lr_mult,
        }
        self.optimizers = {
            turn: adamw([self.trainable[turn]], rates[turn], self.config.optim) for turn in rates
        }

    def start_epoch(self) -> None:
        """Nothing: modes are set at every step."""

    def train_step(self, x: Tensor, y: Tensor, share: float, step: int) -> Step:
        """One step of critic or generator on one batch, as the switch says; the other stands still.

        The switch's own loss, the sum over all workers, is fetched from the device only if it asks.
        """
        turn, optimizer, worker = self.switch.turn, self.optimizers[self.switch.turn], self.worker
        self.generator.train(turn == "generator" or not self.config.switch_eval)
        self.critic.train(turn == "critic" or not self.config.switch_eval)
        x, y = worker.batch_to_device(x), worker.batch_to_device(y)
        optimizer.zero_grad(set_to_none=True)
        still = (
            no_parameter_grads(self.trainable["critic"]) if turn == "generator" else nullcontext()
        )
        with still:  # the generator's gradients pass through the critic, whose own nobody needs
            with worker.autocast():
                terms = (self.critic_terms if turn == "critic" else self.generator_terms)(x, y)
            (torch.stack(list(terms.values())).sum() * share).backward()
        worker.all_reduce_gradients(self.trainable[turn])
        optimizer.step()
        self.after_step(turn)
        values = [v.detach().to(worker.sum_dtype) for v in terms.values()]
        total = torch.stack(values).sum()
        loss = float("nan")
        if self.switch.needs_loss:
            loss = worker.reduce_sums({"loss": total * share})["loss"]
        self.switch.after_step(loss)
        return Step({f"{turn}_loss": total}, updates_net=turn == "generator")

    def epoch_row(self, means: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
        """Each network's mean loss over its own steps, and how many those were."""
        turns = ("critic", "generator")
        losses = {f"train_{turn}_loss": means.get(f"{turn}_loss", 0.0) for turn in turns}
        return {**losses, **{f"{turn}_steps": counts[f"{turn}_loss"] for turn in turns}}

    def after_epoch(self, epoch: int) -> None:
        """Hand the generator to `sample`."""
        if self.sample is not None:
            self.sample(epoch, self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Both networks, their optimizers, and whose turn it is."""
        return {
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "optimizers": {turn: opt.state_dict() for turn, opt in self.optimizers.items()},
            "switch": self.switch.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        for turn, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][turn])
        self.switch.load_state_dict(state["switch"])

    def finish(self) -> None:
        """Set evaluation mode."""
        self.generator.eval()
        self.critic.eval()


@dataclass
class PairGanLearner(GanLearner):
    """Restoration: the generator fools the critic and stays near the photo.

    `loss` compares its images with the photos; `critic_weight` is the weight of the critic's word
    beside it. `train_bn` says whether the batch norms of the generator's encoder train.
    """

    generator: Generator
    critic: Critic
    loss: Callable[[Tensor, Tensor], LossTerms] = field(kw_only=True)
    critic_weight: float = 1.0
    train_bn: bool = False

    def generator_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The loss against photos `y`, and how little the critic is fooled, `B 3 H W` in 0...1."""
        output = self.generator(x)
        return self._terms(output, y, self.critic(output))

    def critic_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy over photos and what the generator makes now, clamped to 0...1.

        fastai does not clamp; but a critic that sees values no photo has learns those and no more.
        """
        with torch.no_grad():
            fake = self.generator(x).clamp(0, 1)
        return {"critic_loss": critic_loss(self.critic(y), self.critic(fake))}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The generator's terms; PSNR, its gain over the input in dB, and the critic's accuracy."""
        output = self.generator(x)
        fake, real = self.critic(output), self.critic(y)
        metrics = {**psnr_metrics(output, x, y), "accuracy": critic_accuracy(real, fake)}
        return self._terms(output, y, fake), metrics

    def _terms(self, output: Tensor, y: Tensor, fake: Tensor) -> LossTerms:
        adversarial = self.critic_weight * adversarial_loss(fake, real=True)
        return {**self.loss(output, y), "critic": adversarial}

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the generator's encoder."""
        self.generator.encoder.freeze(frozen, train_bn=self.train_bn)


@contextmanager
def no_parameter_grads(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Within the block the parameters get no gradients of their own; others pass through them."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _trainable(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.requires_grad]
