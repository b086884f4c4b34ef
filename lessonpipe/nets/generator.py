"""The generator as everybody uses it: pictures in 0...1 in, pictures in 0...1 out."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lessonpipe.nets.blocks import Norm, Normalize
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.unet import Concat, Output, Unet


class Generator(nn.Module):
    """A U-Net between the encoder's normalised units and back: `B 3 H W -> B 3 H W`, 0...1.

    The answer is not clamped while training, so that the loss keeps its slope. Options are
    those of `Unet`; `config` holds them, so that a model folder can build the same network.
    """

    def __init__(
        self,
        encoder: str,
        *,
        pretrained: bool,
        widths: Sequence[int] | None = None,
        head: int | None = None,
        blur: bool = True,
        norm: Norm = "weight",
        icnr: bool = True,
        attention: bool = False,
        residual: bool = False,
        join: Concat = "before",
        bottleneck: bool = False,
        last_cross: bool = True,
        output: Output = "range",
        y_range: tuple[float, float] = (-3.0, 3.0),
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "encoder": encoder,
            "widths": widths,
            "head": head,
            "blur": blur,
            "norm": norm,
            "icnr": icnr,
            "attention": attention,
            "residual": residual,
            "join": join,
            "bottleneck": bottleneck,
            "last_cross": last_cross,
            "output": output,
            "y_range": y_range,
        }
        eyes = Encoder(encoder, pretrained=pretrained)
        self.normalize = Normalize(eyes.mean, eyes.std)
        self.unet = Unet(
            eyes,
            widths=widths,
            head=head,
            blur=blur,
            norm=norm,
            icnr=icnr,
            attention=attention,
            residual=residual,
            join=join,
            bottleneck=bottleneck,
            last_cross=last_cross,
            output=output,
            y_range=y_range,
        )
        self.grid = eyes.reductions[-1]

    @property
    def encoder(self) -> Encoder:
        """The pretrained half."""
        return self.unet.encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.normalize.denormalize(self.unet(self.normalize(x)))


def fold_weight_norm(net: nn.Module) -> nn.Module:
    """Replace weight-normed weights by their values, for speed when nothing learns any more."""
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return net
