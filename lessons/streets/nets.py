"""The lesson's U-Net with a score a class: photos in 0...1 in, scores of every pixel out."""

from torch import Tensor, nn

from lessonpipe.nets.blocks import Normalize
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.unet import Unet, UnetConfig
from lessons.streets.classes import NAMES


class Segmenter(nn.Module):
    """Photos to scores of the classes: `B 3 H W` in 0...1 `-> B 12 H W`.

    The lesson's network (resnet34, no `widths`, no `head`, no blur, no norm, with `bottleneck`)
    has 41,133,018 parameters. Raises `ValueError` for a config whose output is not plain.
    """

    def __init__(self, config: UnetConfig, *, pretrained: bool) -> None:
        super().__init__()
        if config.output != "plain":
            raise ValueError(f"a segmenter's output is plain scores, not {config.output!r}")
        self.config = config
        encoder = Encoder(config.encoder, pretrained=pretrained)
        self.normalize = Normalize(encoder.mean, encoder.std)
        self.unet = Unet(encoder, config, out_channels=len(NAMES))
        self.grid = encoder.reductions[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.unet(self.normalize(x))
