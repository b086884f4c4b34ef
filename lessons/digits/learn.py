"""Train one network on digits, and compute the loss surface around it."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.config import TrainPhase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import History, fit
from lessonpipe.train.learner import LossTerms, SupervisedLearner
from lessonpipe.train.schedule import AdamWConfig
from lessons.digits.data import Digits
from lessons.digits.nets import DigitNet, DigitNetConfig, padded_crops


@dataclass
class Classifier(SupervisedLearner):
    """A network that gives scores, trained by cross-entropy."""

    net: DigitNet

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Cross-entropy of digits `B 28 28` against their labels `B`."""
        return {"cross_entropy": F.cross_entropy(self.net(x).float(), y)}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """Cross-entropy and the accuracy."""
        scores = self.net(x).float()
        right = (scores.argmax(1) == y).float().mean()
        return {"cross_entropy": F.cross_entropy(scores, y)}, {"accuracy": right}


def in_memory(digits: Digits, seed: int, worker: Worker) -> TensorData:
    """The digits on the device, with the lesson's one random view: padded crops."""
    return TensorData(
        (digits["train_x"], digits["train_y"]),
        (digits["valid_x"], digits["valid_y"]),
        seed,
        worker,
        padded_crops,
    )


def some_of(digits: Digits, samples: int, seed: int) -> Digits:
    """The digits with so many training ones alone, which the seed chooses."""
    chosen = torch.randperm(len(digits["train_x"]), generator=torch.Generator().manual_seed(seed))
    return digits | {part: digits[part][chosen[:samples]] for part in ("train_x", "train_y")}


def training_error(net: nn.Module, digits: Digits) -> float:
    """The share of the training digits, as they are, that a network reads wrong."""
    wrong = predict_probabilities(net, digits["train_x"]).argmax(1) != digits["train_y"]
    return float(wrong.float().mean())


def statistics(digits: Digits, batch: int) -> tuple[float, float]:
    """Mean and deviation of the pixels of one batch, in 0...1, as the lesson normalises."""
    pixels = digits["train_x"][:batch].float() / 255
    return float(pixels.mean()), float(pixels.std())


def build(
    config: DigitNetConfig,
    digits: Digits,
    phase: TrainPhase,
    optim: AdamWConfig,
    *,
    ema: float,
    seed: int,
) -> tuple[Classifier, TensorData, Worker]:
    """The network with its loss, the data, and the worker: all that a first step needs."""
    torch.manual_seed(seed)
    mean, std = statistics(digits, phase.batch)
    net = DigitNet(config.model_copy(update={"mean": mean, "std": std}))
    worker = Worker.current("fp32")  # bf16 is no faster for so small a network
    return Classifier(net, optim, ema), in_memory(digits, seed, worker), worker


def train_network(
    learner: Classifier, data: TensorData, worker: Worker, phase: TrainPhase, *, seed: int
) -> tuple[History, float]:
    """Train what `build` returns through `phase`: its history, and the seconds it took."""
    start = time.perf_counter()
    history = fit(learner, [phase], data, worker, seed=seed, checkpoint=Checkpoint(None))
    return history, time.perf_counter() - start


@torch.no_grad()
def surface(
    net: nn.Module, x: Tensor, y: Tensor, *, points: int, extent: float, seed: int
) -> Tensor:
    """The loss on a plane of weights around a trained network: `points points` (Li et al. 2018).

    Two random directions, normalised filter by filter; batch norms and biases stay as they are.
    The middle is the network itself, the edge `extent` times the filters' norms away.
    """
    rng = torch.Generator().manual_seed(seed)
    weights = [p for p in net.parameters() if p.ndim > 1]
    middle = [p.detach().clone() for p in weights]
    directions = [[_direction(p, rng) for p in middle] for _ in range(2)]
    steps = torch.linspace(-extent, extent, points).tolist()
    losses = torch.empty(points, points)
    net.eval()
    for i, down in enumerate(steps):
        for j, right in enumerate(steps):
            for p, at, a, b in zip(weights, middle, *directions, strict=True):
                p.copy_(at + down * a + right * b)
            losses[i, j] = F.cross_entropy(net(x).float(), y)
    for p, at in zip(weights, middle, strict=True):
        p.copy_(at)
    return losses


def _direction(weight: Tensor, rng: torch.Generator) -> Tensor:
    """A random direction `O I H W`, each filter with the norm of the weight's own."""
    direction = torch.randn(weight.shape, generator=rng).to(weight.device)
    norms = (v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1)) for v in (weight, direction))
    wanted, drawn = norms
    return direction * wanted / drawn


@torch.no_grad()
def predict_probabilities(net: nn.Module, x: Tensor, batch: int = 1000) -> Tensor:
    """The probabilities that the network gives each digit: `N 10`."""
    net.eval()
    return torch.cat([net(part).float().softmax(1) for part in x.split(batch)])
