"""Fitting a critic on images that were generated before."""

from dataclasses import dataclass

from torch import Tensor

from lessonpipe.losses.gan import critic_accuracy, critic_loss
from lessonpipe.nets.critic import Critic
from lessonpipe.train.learner import LossTerms, SupervisedLearner


@dataclass
class CriticLearner(SupervisedLearner):
    """A critic; `x` are generated images, `y` the photos, `B 3 H W` in 0...1.

    Its encoder is frozen for good, so phases freeze nothing.
    """

    net: Critic

    def loss_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """Binary cross-entropy, the mean over generated and real."""
        return {"critic": critic_loss(self.net(y), self.net(x))}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The loss, and the share of logits on the right side."""
        fake, real = self.net(x), self.net(y)
        return {"critic": critic_loss(real, fake)}, {"accuracy": critic_accuracy(real, fake)}
