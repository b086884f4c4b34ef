"""Fitting a generator: a loss on its images, and an encoder that may be frozen."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from lessonpipe.config import Frozen
from lessonpipe.metrics import psnr_metrics
from lessonpipe.nets import Generator
from lessonpipe.train.learner import LossTerms, SupervisedLearner


@dataclass
class GeneratorLearner(SupervisedLearner):
    """A generator, the `loss` on its images, and whether its encoder's batch norms train."""

    net: Generator
    loss: Callable[[Tensor, Tensor], LossTerms] = field(kw_only=True)
    train_bn: bool = False

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The terms of the loss for crappy `x` and good `y`, `B 3 H W` in 0...1."""
        return self.loss(self.net(x), y)

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The terms, and PSNR in dB with its gain over the crappy image."""
        output = self.net(x)
        return self.loss(output, y), psnr_metrics(output, x, y)

    def param_groups(self) -> list[list[nn.Parameter]]:
        """Early encoder, late encoder, decoder."""
        return self.net.unet.param_groups()

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the encoder."""
        self.net.encoder.freeze(frozen, train_bn=self.train_bn)
