"""The networks: an encoder, the U-Net around it, the generator, and two critics."""

from lessonpipe.nets.critic import Critic, CriticConfig, EncoderCritic, LessonCritic
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.generator import Generator
from lessonpipe.nets.unet import Unet, UnetConfig

__all__ = [
    "Critic",
    "CriticConfig",
    "Encoder",
    "EncoderCritic",
    "Generator",
    "LessonCritic",
    "Unet",
    "UnetConfig",
]
