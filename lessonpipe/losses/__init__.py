"""What networks are trained to make small. Each loss returns its terms by name."""

from lessonpipe.losses.feature import FeatureLoss, FeatureLossConfig, image_loss
from lessonpipe.losses.gan import adversarial_loss, critic_accuracy, critic_loss
from lessonpipe.losses.pixel import DamageLoss, DamageLossConfig, PixelKind, PixelLoss

__all__ = [
    "DamageLoss",
    "DamageLossConfig",
    "FeatureLoss",
    "FeatureLossConfig",
    "PixelKind",
    "PixelLoss",
    "adversarial_loss",
    "critic_accuracy",
    "critic_loss",
    "image_loss",
]
