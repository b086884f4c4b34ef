"""Our side of the contests: training steps as the stages make them, on this machine."""

from collections.abc import Callable

import torch
from torch import Tensor

from lessonpipe.config import TrainPhase
from lessonpipe.device import Worker
from lessonpipe.losses import FeatureLossConfig, image_loss
from lessonpipe.nets import Critic, CriticConfig, Generator, UnetConfig
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.gan_switch import Turn
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.learner import SupervisedLearner
from lessonpipe.train.schedule import AdamWConfig

Step = Callable[[], None]
OPTIM = AdamWConfig(weight_decay=1e-3)
VGG = FeatureLossConfig(encoder="vgg16_bn", pretrained=False, layers=[2, 3, 4], weights=[5, 15, 2])


def lesson_generator(attention: bool = True) -> Generator:
    """The lesson's generator."""
    return Generator(UnetConfig(encoder="resnet34", attention=attention), pretrained=False)


def lesson_critic() -> Critic:
    """The lesson's critic."""
    return Critic(CriticConfig(kind="lesson", width=128), pretrained=False)


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
    net = lesson_generator(attention)
    std = net.encoder.std
    loss = image_loss(VGG, "l1", std) if feature else image_loss(None, "mse", std)
    loss = Worker.current().to_device(loss)
    return _step(GeneratorLearner(net, OPTIM, loss=loss, train_bn=train_bn), x, y, frozen)


def critic_step(fake: Tensor, real: Tensor) -> Step:
    """A step of the critic's pretraining."""
    return _step(CriticLearner(lesson_critic(), OPTIM), fake, real, False)


def _step(learner: SupervisedLearner, x: Tensor, y: Tensor, frozen: bool) -> Step:
    learner.prepare(Worker.current())
    learner.start_phase(TrainPhase(batch=len(x), epochs=1, max_lr=1e-3, frozen=frozen), 1)
    learner.start_epoch()

    def step() -> None:
        learner.optimizer_step(x, y, 1.0)

    step.learner = learner  # type: ignore[attr-defined]
    return step


def gan_steps(x: Tensor, y: Tensor) -> dict[Turn, Step]:
    """The critic's and the generator's turn."""
    generator = lesson_generator()
    config = GanConfig(
        optim=OPTIM.model_copy(update={"beta1": 0.0}),
        critic_lr_mult=1,
        switch={"kind": "fixed"},
    )
    loss = image_loss(None, "mse", generator.encoder.std, 50.0)
    learner = PairGanLearner(generator, lesson_critic(), config, loss=loss, train_bn=True)
    learner.prepare(Worker.current())
    learner.start_phase(TrainPhase(batch=len(x), epochs=1, max_lr=1e-4), 1)

    def take(turn: Turn) -> Step:
        def step() -> None:
            learner.switch.turn = turn
            learner.train_step(x, y, 1.0, 0)

        return step

    return {"critic": take("critic"), "generator": take("generator")}


def pictures(batch: int, image_px: int) -> tuple[Tensor, Tensor]:
    """Crappy and good in 0...1: noise, which is as much work as photos."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, batch, 3, image_px, image_px, generator=rng)
    return x, y
