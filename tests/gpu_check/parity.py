"""Losses and gradients of every system on the device, against the CPU in doubles.

The device may be ten times as far from doubles as the CPU's own single precision is: how far that
is differs from network to network.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor, nn

from lessonpipe.losses import FeatureLossConfig, image_loss
from lessonpipe.nets import Critic, CriticConfig, Generator, UnetConfig
from lessonpipe.train.critic import CriticLearner
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.learner import LossTerms
from lessonpipe.train.schedule import AdamWConfig
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic
from lessons.bedrooms.wgan import Wgan
from lessons.digits.learn import Classifier
from lessons.digits.nets import DigitNet, DigitNetConfig
from lessons.numbers.build import build
from lessons.numbers.learn import LanguageModelLearner
from lessons.numbers.words import WORDS
from lessons.streets.learn import SegmenterLearner
from lessons.streets.nets import Segmenter
from tests.bench.ours import VGG, pictures
from tests.gpu_check.check import Case, Check, Result
from tests.small import unet_config

FURTHER, FLOOR = 10.0, 1e-5  # than the CPU's single precision; and what is near enough anyway
BF16_LOSS = 0.05  # of the loss
SWITCH = {"kind": "fixed"}
CPU = torch.device("cpu")


@dataclass
class System:
    """Networks with what a step computes of a batch; the same weights each time it is made."""

    modules: list[nn.Module]
    terms: Callable[[Tensor, Tensor], LossTerms]
    x: Tensor
    y: Tensor


def systems(tiny: bool) -> dict[str, Callable[[], System]]:
    """All that is trained, by name."""
    px = 64 if tiny else 128
    small = unet_config(output="correction")
    lesson = UnetConfig(encoder="resnet34", attention=True)
    eyes = VGG.model_copy(update={"encoder": "test_efficientnet"}) if tiny else VGG
    sample = small if tiny else UnetConfig(
        encoder="tf_efficientnet_lite0", widths=[96, 64, 48, 32], head=16, norm="none",
        output="correction",
    )  # fmt: skip
    lesson = unet_config(norm="weight", attention=True) if tiny else lesson
    width = 8 if tiny else 128
    critic = CriticConfig(kind="lesson", width=width)
    on_encoder = CriticConfig(kind="encoder", encoder="test_efficientnet", depth=3, width=8)
    plain = UnetConfig(**{**(small if tiny else lesson).model_dump(), "output": "plain"})
    ids = torch.randint(0, len(WORDS), (2, 4, 12), generator=torch.Generator().manual_seed(0))
    return {
        "sample's generator, pixels": lambda: generator(sample, None, px),
        "lesson's generator, VGG-16 features": lambda: generator(lesson, eyes, px),
        "lesson's critic": lambda: critics(critic, px),
        "critic on an encoder": lambda: critics(on_encoder, px),
        "GAN, generator's turn": lambda: gan(sample, critic, px),
        "streets": lambda: streets(plain, px),
        "digits": digits,
        "bedrooms, critic's turn": lambda: bedrooms(4 if tiny else 64),
        "numbers, GRU": lambda: language("gru", ids),
        "numbers, keeps its state": lambda: language("stateful", ids),
    }


def generator(config: UnetConfig, feature: FeatureLossConfig | None, px: int) -> System:
    net = awake(Generator(config, pretrained=False))
    loss = image_loss(feature, "mse", net.encoder.std)
    return System([net, loss], GeneratorLearner(net, loss=loss).loss_terms, *pictures(2, px))


def awake(net: Generator) -> Generator:
    """The network with a last layer that is not zero, as it starts: else nothing flows back."""
    if net.config.output == "correction":
        nn.init.normal_(net.unet.output[0].weight, std=0.1)
    return net


def critics(config: CriticConfig, px: int) -> System:
    net = Critic(config, pretrained=False)
    return System([net], CriticLearner(net).loss_terms, *pictures(2, px))


def gan(config: UnetConfig, critic: CriticConfig, px: int) -> System:
    nets = awake(Generator(config, pretrained=False)), Critic(critic, pretrained=False)
    loss = image_loss(None, "mse", nets[0].encoder.std)
    learner = PairGanLearner(*nets, GanConfig(optim=AdamWConfig(), switch=SWITCH), loss=loss)
    return System([*nets, loss], learner.generator_terms, *pictures(2, px))


def streets(config: UnetConfig, px: int) -> System:
    net = Segmenter(config, pretrained=False)
    y = torch.randint(0, 12, (2, px, px), generator=torch.Generator().manual_seed(0))
    return System([net], SegmenterLearner(net).loss_terms, pictures(2, px)[0], y)


def digits() -> System:
    net = DigitNet(DigitNetConfig(kind="residual"))
    x = (pictures(16, 28)[0][:, 0] * 255).to(torch.uint8)
    return System([net], Classifier(net).loss_terms, x, torch.arange(16) % 10)


def bedrooms(features: int) -> System:
    nets = NoiseGenerator(features=features), ScoreCritic(features=features)
    learner = Wgan(*nets, GanConfig(optim=AdamWConfig(), switch=SWITCH), clip=0.01)
    photos = (pictures(8, 64)[1] * 255).to(torch.uint8)
    noise = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    return System(list(nets), learner.critic_terms, noise, photos)


def language(kind: str, ids: Tensor) -> System:
    net = build(kind)
    return System([net], LanguageModelLearner(net).loss_terms, *ids)


def computed(
    make: Callable[[], System], device: torch.device, dtype: torch.dtype, *, bf16: bool = False
) -> tuple[Tensor, Tensor]:
    """The loss's terms and all gradients, both flat and in doubles on the CPU."""
    torch.manual_seed(0)
    system = make()
    for module in system.modules:
        module.to(device, dtype).train()
        for part in module.modules():
            if isinstance(part, nn.Dropout | nn.Dropout2d):
                part.p = 0.0  # another device draws others
    x, y = (v.to(device, dtype if v.is_floating_point() else v.dtype) for v in (system.x, system.y))
    # in doubles all is: also what is made single for autocast's sake
    wide = mock.patch.object(torch.Tensor, "float", torch.Tensor.double)
    with wide if dtype == torch.float64 else nullcontext():
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            terms = torch.stack(list(system.terms(x, y).values()))
        terms.sum().backward()
    grads = [p.grad.flatten() for m in system.modules for p in m.parameters() if p.grad is not None]
    return terms.detach().cpu().double(), torch.cat(grads).cpu().double()


def apart(one: Tensor, other: Tensor) -> float:
    """The norm of the difference, as a share of the second's."""
    return float((one - other).norm() / other.norm())


def compare(make: Callable[[], System], check: Check) -> Result:
    """How far the device and the CPU are from doubles, and bf16 from single precision."""
    exact = computed(make, CPU, torch.float64)
    single = computed(make, CPU, torch.float32)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        there = computed(make, check.device, torch.float32)
    rounded, _ = computed(make, check.device, torch.float32, bf16=True)
    cpu, device = ([apart(a, b) for a, b in zip(v, exact, strict=True)] for v in (single, there))
    loss = float((rounded.sum() - exact[0].sum()).abs() / exact[0].abs().sum())
    near = all(d <= max(FURTHER * c, FLOOR) for c, d in zip(cpu, device, strict=True))
    text = (
        f"loss {device[0]:.0e} from doubles (CPU {cpu[0]:.0e}), gradients {device[1]:.0e} "
        f"({cpu[1]:.0e}); bf16's loss {loss:.1%} off"
    )
    values = {"cpu": cpu, "device": device, "bf16_loss": loss}
    return Result(text, values, near and loss <= BF16_LOSS)


def cases(check: Check) -> Iterator[Case]:
    """A case a system."""
    for name, make in systems(check.tiny).items():
        yield name, lambda make=make: compare(make, check)
