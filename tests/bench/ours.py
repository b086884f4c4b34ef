"""Our side of the contests: the steps that the stages take, on this machine as it is."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessonpipe.device import Worker
from lessonpipe.losses import FeatureLoss, PixelLoss
from lessonpipe.nets import Critic, Generator
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.fit import train_step
from lessonpipe.train.gan import GanLearner, take_turn
from lessonpipe.train.gan_switch import Turn
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.schedule import adamw

Step = Callable[[], None]


def lesson_generator(attention: bool = True) -> Generator:
    """The lesson's generator."""
    return Generator("resnet34", pretrained=False, attention=attention)


def generator_step(
    x: Tensor,
    y: Tensor,
    *,
    frozen: bool,
    train_bn: bool = True,
    attention: bool = True,
    feature: bool = False,
) -> Step:
    """A training step of the lesson's generator, by MSE or by the lesson's feature loss."""
    worker = Worker.current()
    net = lesson_generator(attention)
    loss: nn.Module = PixelLoss("l1" if feature else "mse", net.encoder.std)
    if feature:
        assert isinstance(loss, PixelLoss)
        loss = FeatureLoss(
            "vgg16_bn", pixel=loss, taps=[2, 3, 4], weights=[5, 15, 2], pretrained=False
        )
    learner = GeneratorLearner(net, worker.to_device(loss), train_bn)
    return _stepper(learner, x, y, frozen, worker)


def critic_step(fake: Tensor, real: Tensor) -> Step:
    """A step of the critic's pretraining."""
    learner = CriticLearner(Critic("lesson", pretrained=False, width=128))
    return _stepper(learner, fake, real, False, Worker.current())


def _stepper(
    learner: GeneratorLearner | CriticLearner, x: Tensor, y: Tensor, frozen: bool, worker: Worker
) -> Step:
    worker.prepare(learner.net)
    learner.freeze(frozen)
    optimizer = adamw(learner.param_groups(), 1e-3, weight_decay=1e-3)
    learner.net.train()

    def step() -> None:
        train_step(learner, optimizer, x, y, 1.0, worker)

    step.learner = learner  # type: ignore[attr-defined]
    return step


def gan_steps(x: Tensor, y: Tensor) -> dict[Turn, Step]:
    """The critic's and the generator's turn."""
    worker = Worker.current()
    generator = lesson_generator()
    critic = Critic("lesson", pretrained=False, width=128)
    learner = GanLearner(
        generator, critic, PixelLoss("mse", generator.encoder.std, 50.0), train_bn=True
    )
    learner.freeze(False)
    learning: dict[Turn, list[nn.Parameter]] = {
        "critic": list(worker.prepare(critic).parameters()),
        "generator": list(worker.prepare(generator).parameters()),
    }
    optimizers = {
        turn: adamw([learning[turn]], 1e-4, weight_decay=1e-3, betas=(0.0, 0.99))
        for turn in learning
    }
    x, y = worker.batch_to_device(x), worker.batch_to_device(y)

    def take(turn: Turn) -> Step:
        def step() -> None:
            generator.train(turn == "generator")
            critic.train(turn == "critic")
            take_turn(learner, turn, optimizers[turn], learning, x, y, 1.0, worker)

        return step

    return {turn: take(turn) for turn in learning}


def pictures(batch: int, image_px: int) -> tuple[Tensor, Tensor]:
    """Crappy and good in 0...1: noise, which is as much work as pictures."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, batch, 3, image_px, image_px, generator=rng)
    return x, y
