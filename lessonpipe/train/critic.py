"""What it means to fit a critic on pictures that were generated before."""

from dataclasses import dataclass

from torch import Tensor, nn

from lessonpipe.losses.gan import accuracy
from lessonpipe.nets.critic import Critic
from lessonpipe.train.fit import Frozen
from lessonpipe.train.gan import critic_loss


@dataclass
class CriticLearner:
    """A critic; `x` are generated pictures, `y` the photos, `B 3 H W` in 0...1."""

    net: Critic

    def loss_terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Binary cross-entropy, the mean over generated and real."""
        return {"critic": critic_loss(self.net(y), self.net(x))}

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss, and the share of logits on the right side."""
        fake, real = self.net(x), self.net(y)
        right = (accuracy(fake, real=False) + accuracy(real, real=True)) / 2
        return {"critic": critic_loss(real, fake)}, {"accuracy": right}

    def param_groups(self) -> list[list[nn.Parameter]]:
        """All that learns."""
        return [list(self.net.parameters())]

    def freeze(self, frozen: Frozen) -> None:
        """The critic's eyes are frozen for good; nothing else ever is."""
