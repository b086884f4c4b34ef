"""fastai's side of the contests: its networks, losses and optimizers, as it brings them.

`tuned` adds what a person who knows PyTorch would: bf16 autocast and channels last.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
import torchvision
from fastai.basics import Adam, DataLoader, DataLoaders, Learner
from fastai.layers import NormType
from fastai.losses import MSELossFlat
from fastai.vision.gan import (
    AdaptiveLoss,
    GANLoss,
    GANModule,
    gan_critic,
    gan_loss_from_func,
    set_freeze_model,
)
from fastai.vision.learner import create_unet_model, model_meta
from torch import Tensor, nn

Step = Callable[[], None]


def put(x: Tensor, tuned: bool) -> Tensor:
    """Channels last where it is tuned."""
    return x.to(memory_format=torch.channels_last) if tuned else x


def autocast(tuned: bool) -> torch.autocast:
    """bf16 where it is tuned."""
    return torch.autocast("cpu", torch.bfloat16, enabled=tuned)


def generator(attention: bool) -> nn.Module:
    """The lesson's generator."""
    return create_unet_model(
        torchvision.models.resnet34,
        3,
        (128, 128),
        pretrained=False,
        blur=True,
        norm_type=NormType.Weight,
        self_attention=attention,
        y_range=(-3.0, 3.0),
    )


def learner(model: nn.Module, loss: Callable[..., Tensor], *, tuned: bool, **options) -> Learner:
    """A learner whose optimizer is ready."""
    if tuned:
        model = model.to(memory_format=torch.channels_last)
    item = [(torch.zeros(3, 8, 8), torch.zeros(3, 8, 8))]
    loaders = DataLoaders(DataLoader(item, bs=1), DataLoader(item, bs=1))
    learn = Learner(loaders, model, loss_func=loss, wd=1e-3, **options)
    learn.create_opt()
    return learn


def generator_step(
    x: Tensor,
    y: Tensor,
    *,
    tuned: bool,
    frozen: bool,
    train_bn: bool = True,
    attention: bool = True,
    loss: Callable[..., Tensor] | None = None,
) -> Step:
    """A training step of the lesson's generator on normalised pictures."""
    learn = learner(
        generator(attention),
        loss or MSELossFlat(),
        tuned=tuned,
        splitter=model_meta[torchvision.models.resnet34]["split"],
        train_bn=train_bn,
    )
    learn.freeze() if frozen else learn.unfreeze()
    learn.model.train()
    x, y = put(x, tuned), put(y, tuned)

    def step() -> None:
        with autocast(tuned):
            value = learn.loss_func(learn.model(x), y)
        value.backward()
        learn.opt.step()
        learn.opt.zero_grad()

    step.learn = learn  # type: ignore[attr-defined]
    return step


def critic_step(fake: Tensor, real: Tensor, *, tuned: bool) -> Step:
    """A step of the critic's pretraining: generated and real pictures in one batch."""
    learn = learner(gan_critic(), AdaptiveLoss(nn.BCEWithLogitsLoss()), tuned=tuned)
    learn.model.train()
    x = put(torch.cat([fake, real]), tuned)
    label = torch.cat([torch.zeros(len(fake)), torch.ones(len(real))])

    def step() -> None:
        with autocast(tuned):
            value = learn.loss_func(learn.model(x), label)
        value.backward()
        learn.opt.step()
        learn.opt.zero_grad()

    return step


def gan_steps(x: Tensor, y: Tensor, *, tuned: bool) -> dict[str, Step]:
    """The critic's and the generator's turn, by fastai's own GAN module and loss."""
    model = GANModule(generator(True), gan_critic())
    judge = AdaptiveLoss(nn.BCEWithLogitsLoss())
    losses = gan_loss_from_func(MSELossFlat(), judge, weights_gen=(1.0, 50.0))
    gan_loss = GANLoss(*losses, model)
    if tuned:
        model = model.to(memory_format=torch.channels_last)
    quiet = partial(Adam, mom=0.0, sqr_mom=0.99, wd=1e-3)
    x, y = put(x, tuned), put(y, tuned)
    optimizers = {
        mode: quiet([list(net.parameters())], lr=1e-4)
        for mode, net in (("critic", model.critic), ("generator", model.generator))
    }

    def turn(mode: str) -> None:
        learns = model.generator if mode == "generator" else model.critic
        rests = model.critic if mode == "generator" else model.generator
        set_freeze_model(learns.train(), True)
        set_freeze_model(rests.eval(), False)
        with autocast(tuned):
            if mode == "generator":
                value = gan_loss.generator(model.generator(x), y)
            else:
                value = gan_loss.critic(model.critic(y), x)
        value.backward()
        optimizers[mode].step()
        optimizers[mode].zero_grad()

    return {mode: partial(turn, mode) for mode in optimizers}


class LessonLoss(nn.Module):
    """The lesson's feature loss: the whole VGG runs, and hooks keep what three ReLUs gave."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.vgg16_bn(weights=None).features.eval().requires_grad_(False)
        self.kept: dict[int, Tensor] = {}
        self.weights = {22: 5, 32: 15, 42: 2}
        for index in self.weights:
            self.net[index].register_forward_hook(partial(self._keep, index))

    def _keep(self, index: int, _layer: nn.Module, _given: object, answer: Tensor) -> None:
        self.kept[index] = answer

    def _features(self, x: Tensor) -> dict[int, Tensor]:
        self.net(x)
        return {index: kept.clone() for index, kept in self.kept.items()}

    @staticmethod
    def _gram(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        flat = x.view(n, c, -1) if x.is_contiguous() else x.reshape(n, c, -1)
        return flat @ flat.transpose(1, 2) / (c * h * w)

    def forward(self, made: Tensor, good: Tensor) -> Tensor:
        aim, seen = self._features(good), self._features(made)
        total = F.l1_loss(made, good)
        for index, w in self.weights.items():
            total = total + w * F.l1_loss(seen[index], aim[index])
            grams = self._gram(seen[index]), self._gram(aim[index])
            total = total + w**2 * 5e3 * F.l1_loss(*grams)
        return total
