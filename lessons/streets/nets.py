"""The lesson's U-Net with a score a class: photos in 0...1 in, scores of every pixel out."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lessonpipe.nets.blocks import Norm, Normalize
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.unet import Unet
from lessons.streets.classes import NAMES


class Segmenter(nn.Module):
    """Photos to scores of the classes: `B 3 H W` in 0...1 `-> B 12 H W`.

    The lesson's network (resnet34, no `widths`, no `head`, no blur, no norm, with `bottleneck`)
    has 41,133,018 parameters. Options are those of `Unet`.
    """

    def __init__(
        self,
        encoder: str,
        *,
        pretrained: bool,
        widths: Sequence[int] | None = None,
        head: int | None = None,
        blur: bool = False,
        norm: Norm = "none",
        attention: bool = False,
        bottleneck: bool = True,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "encoder": encoder,
            "widths": widths,
            "head": head,
            "blur": blur,
            "norm": norm,
            "attention": attention,
            "bottleneck": bottleneck,
        }
        eyes = Encoder(encoder, pretrained=pretrained)
        self.normalize = Normalize(eyes.mean, eyes.std)
        self.unet = Unet(
            eyes,
            out_channels=len(NAMES),
            widths=widths,
            head=head,
            blur=blur,
            norm=norm,
            attention=attention,
            bottleneck=bottleneck,
            output="plain",
        )
        self.grid = eyes.reductions[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.unet(self.normalize(x))
