"""The networks: an encoder, the U-Net around it, the generator, and two critics."""

from lessonpipe.nets.critic import Critic, EncoderCritic, LessonCritic
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.generator import Generator
from lessonpipe.nets.unet import Unet

__all__ = ["Critic", "Encoder", "EncoderCritic", "Generator", "LessonCritic", "Unet"]
