"""The two players and what each wants: scores far apart, or fakes that score like photos."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.train.gan import GanLearner
from lessonpipe.train.gan_switch import Turn
from lessonpipe.train.learner import LossTerms


def signed(pictures: Tensor) -> Tensor:
    """Bytes as the networks want them: in -1...1."""
    return pictures.float() / 127.5 - 1


def as_bytes(pictures: Tensor) -> Tensor:
    """The way back."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass
class Wgan(GanLearner):
    """A Wasserstein GAN whose critic's slope is bounded by clipping its weights to -`clip`...`clip`
    (Arjovsky et al. 2017, as in the lesson), by a gradient penalty of weight `gp_weight` (Gulrajani
    et al. 2017), or both; `None` leaves one out.

    Low scores are for photos, as in the lesson: the critic's loss is mean(real) - mean(fake).
    """

    clip: float | None = 0.01
    gp_weight: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.after_step("critic")  # the lesson clips before a step: the first one, too

    def generator_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The generator's loss on noise `B Z`: its images should score low."""
        return {"fake": self.critic(self.generator(x)).mean()}

    def critic_terms(self, x: Tensor, y: Tensor) -> LossTerms:
        """The critic's: photos `B 3 H W`, bytes, should score lower than images of noise `B Z`."""
        real = signed(y)
        with torch.no_grad():
            fake = self.generator(x)
        terms = {"real": self.critic(real).mean(), "fake": -self.critic(fake).mean()}
        if self.gp_weight is not None:
            terms["penalty"] = self.gp_weight * gradient_penalty(self.critic, real, fake)
        return terms

    @torch.no_grad()
    def after_step(self, turn: Turn) -> None:
        """Clip the critic's weights after its step."""
        if turn == "critic" and self.clip is not None:
            for weight in self.critic.parameters():
                weight.clamp_(-self.clip, self.clip)

    def validation_step(self, x: Tensor, y: Tensor) -> tuple[LossTerms, dict[str, Tensor]]:
        """The generator's loss, and the critic's estimate of the distance to unseen photos.

        The estimate is how far apart the scores are: the Wasserstein distance times the critic's
        Lipschitz constant, which is unknown when weights are clipped.
        """
        fake = self.critic(self.generator(x)).mean()
        return {"fake": fake}, {"estimate": fake - self.critic(signed(y)).mean()}


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """How far the critic's slope is from 1: the mean of (|gradient| - 1)² over one point between
    each photo and each fake (Gulrajani et al. 2017)."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = torch.lerp(fake, real, share).requires_grad_()
    scores = critic.forward(between)  # not compiled, which has no second derivative
    (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


@dataclass(frozen=True)
class NoiseAndFlips:
    """Random views: new noise for every picture; with `flip` half of the pictures mirrored."""

    noise: int
    flip: bool = True

    def __call__(self, x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """`B 0`, `B 3 H W -> B Z`, `B 3 H W`."""
        mirrored = (torch.rand(len(y), generator=rng) < 0.5 * self.flip).to(y.device)
        flipped = torch.where(mirrored[:, None, None, None], y.flip(-1), y)
        return torch.randn(len(y), self.noise, generator=rng).to(y.device), flipped


def in_memory(
    train: Tensor, valid: Tensor, noise: int, seed: int, worker: Worker, *, flip: bool = True
) -> TensorData:
    """Pictures `N 3 H W` on the device; those of the validation side have noise of their own."""
    nothing = torch.empty(len(train), 0)
    return TensorData(
        (nothing, train),
        (sample_noise(len(valid), noise, seed), valid),
        seed,
        worker,
        NoiseAndFlips(noise, flip),
    )


def sample_noise(count: int, noise: int, seed: int) -> Tensor:
    """Noise from a seed: `count noise`."""
    return torch.randn(count, noise, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def samples(generator: nn.Module, noise: Tensor, batch: int = 64) -> Tensor:
    """Pictures of noise `N Z`, by the generator as it is used: `N 3 H W` bytes."""
    learning = generator.training
    generator.eval()
    device = next(generator.parameters()).device
    made = torch.cat([as_bytes(generator(part.to(device))).cpu() for part in noise.split(batch)])
    generator.train(learning)
    return made
