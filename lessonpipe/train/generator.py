"""Fitting a generator: a loss on its images, and an encoder that may be frozen."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from lessonpipe.config import Frozen
from lessonpipe.losses import DamageLoss
from lessonpipe.metrics import psnr_metrics
from lessonpipe.nets import Generator
from lessonpipe.train.learner import LossTerms, SupervisedLearner


@dataclass
class GeneratorLearner(SupervisedLearner):
    """A generator, the `loss` on its images, and whether its encoder's batch norms train.

    `damage_loss` adds terms of the places that local damage changed.
    """

    net: Generator
    loss: Callable[[Tensor, Tensor], LossTerms] = field(kw_only=True)
    damage_loss: DamageLoss | None = None
    train_bn: bool = False

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The terms of the loss for crappy `x` and good `y`, `B 3 H W` in 0...1."""
        return self._output_and_terms(x, y)[1]

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The terms, and PSNR in dB with its gain over the crappy image."""
        output, terms = self._output_and_terms(x, y)
        return terms, psnr_metrics(output, x, y)

    def _output_and_terms(self, x: Tensor, y: Tensor) -> tuple[Tensor, LossTerms]:
        if self.damage_loss is None:
            output = self.net(x)
            return output, self.loss(output, y)
        output, logits = self.net(x, with_mask=True)
        return output, {**self.loss(output, y), **self.damage_loss(output, y, x, logits)}

    def param_groups(self) -> list[list[nn.Parameter]]:
        """Early encoder, late encoder, decoder."""
        return self.net.unet.param_groups()

    def freeze(self, frozen: Frozen) -> None:
        """Freeze or free the encoder."""
        self.net.encoder.freeze(frozen, train_bn=self.train_bn)
