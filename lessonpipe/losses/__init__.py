"""What a generator is trained to make small. Each loss answers with its terms, by name."""

from lessonpipe.losses.feature import FeatureLoss
from lessonpipe.losses.gan import accuracy, adversarial_loss
from lessonpipe.losses.pixel import PixelLoss

__all__ = ["FeatureLoss", "PixelLoss", "accuracy", "adversarial_loss"]
