"""Teach one network the digits, and look at the loss around it."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Frozen, History, LossTerms, TrainPhase, fit
from lessons.digits.data import Digits
from lessons.digits.nets import DigitNet, Kind, padded_crops


@dataclass
class Classifier:
    """A network that gives scores, taught by cross-entropy."""

    net: nn.Module

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy of digits `B 28 28` against their labels `B`."""
        return {"cross_entropy": F.cross_entropy(self.net(x).float(), y)}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, LossTerms]:
        """That, and the share that is right."""
        scores = self.net(x).float()
        right = (scores.argmax(1) == y).float().mean()
        return {"cross_entropy": F.cross_entropy(scores, y)}, {"accuracy": right}

    def param_groups(self) -> list[list[nn.Parameter]]:
        """All that learns."""
        return [list(self.net.parameters())]

    def freeze(self, frozen: Frozen) -> None:
        """Nothing was learnt before that could be kept."""


def in_memory(digits: Digits, seed: int, worker: Worker) -> TensorData:
    """The digits on the device, with the lesson's one random view: padded crops."""
    return TensorData(
        (digits["train_x"], digits["train_y"]),
        (digits["valid_x"], digits["valid_y"]),
        seed,
        worker,
        padded_crops,
    )


def statistics(digits: Digits, batch: int) -> tuple[float, float]:
    """Mean and deviation of the pixels of one batch, in 0...1, as the lesson normalises."""
    pixels = digits["train_x"][:batch].float() / 255
    return float(pixels.mean()), float(pixels.std())


def train_network(
    kind: Kind,
    digits: Digits,
    schedule: TrainPhase,
    *,
    blocks: int = 1,
    width: int = 1,
    decay: float,
    ema: float,
    seed: int,
) -> tuple[DigitNet, History, float]:
    """A network that went through `schedule`, its history, and the seconds it took.

    `decay` is of the weights, `ema` of their mean over the last steps.
    """
    torch.manual_seed(seed)
    mean, std = statistics(digits, schedule.batch)
    net = DigitNet(kind, blocks=blocks, width=width, mean=mean, std=std)
    worker = Worker.current("fp32")  # so small a network gains nothing by less
    start = time.perf_counter()
    history = fit(
        Classifier(net),
        [schedule],
        in_memory(digits, seed, worker),
        worker,
        weight_decay=decay,
        seed=seed,
        checkpoint=Checkpoint(None),
        ema=ema,
    )
    return net, history, time.perf_counter() - start


@torch.no_grad()
def surface(
    net: nn.Module, x: Tensor, y: Tensor, *, points: int, reach: float, seed: int
) -> Tensor:
    """The loss on a plane of weights around a trained network: `points points`.

    Two random directions, each filter's part as long as the filter (Li et al. 2018); batch norms
    and biases stay as they are. The middle is the network itself, the edge `reach` filters' lengths
    away.
    """
    rng = torch.Generator().manual_seed(seed)
    weights = [p for p in net.parameters() if p.ndim > 1]
    middle = [p.detach().clone() for p in weights]
    ways = [[_direction(p, rng) for p in middle] for _ in range(2)]
    steps = torch.linspace(-reach, reach, points).tolist()
    losses = torch.empty(points, points)
    net.eval()
    for i, down in enumerate(steps):
        for j, right in enumerate(steps):
            for p, at, a, b in zip(weights, middle, *ways, strict=True):
                p.copy_(at + down * a + right * b)
            losses[i, j] = F.cross_entropy(net(x).float(), y)
    for p, at in zip(weights, middle, strict=True):
        p.copy_(at)
    return losses


def _direction(weight: Tensor, rng: torch.Generator) -> Tensor:
    """A random direction `O I H W`, each filter as long as the weight's own."""
    way = torch.randn(weight.shape, generator=rng).to(weight.device)
    lengths = (v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1)) for v in (weight, way))
    own, drawn = lengths
    return way * own / drawn


@torch.no_grad()
def predict_probabilities(net: nn.Module, x: Tensor, batch: int = 1000) -> Tensor:
    """What the network says of each digit: probabilities `N 10`."""
    net.eval()
    return torch.cat([net(part).float().softmax(1) for part in x.split(batch)])
