"""The generator as everybody uses it: images in 0...1 in, images in 0...1 out."""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lessonpipe.nets.blocks import Normalize
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.unet import Unet, UnetConfig


class Generator(nn.Module):
    """A U-Net between the encoder's normalised units and back: `B 3 H W -> B 3 H W`, 0...1.

    The output is not clamped, so that in training the loss keeps its slope.
    """

    def __init__(self, config: UnetConfig, *, pretrained: bool) -> None:
        super().__init__()
        self.config = config
        encoder = Encoder(config.encoder, pretrained=pretrained, depth=config.encoder_depth)
        self.normalize = Normalize(encoder.mean, encoder.std)
        self.unet = Unet(encoder, config)
        self.grid = encoder.reductions[-1]

    @property
    def encoder(self) -> Encoder:
        """The pretrained half."""
        return self.unet.encoder

    def forward(  # not `*`: torch.onnx gives what has a default by its position
        self, x: Tensor, with_mask: bool = False
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """The images; `with_mask` with the logits of what was filled in, `B 1 H W`, if any was."""
        y, mask = self.unet.with_mask(self.normalize(x))
        y = self.normalize.denormalize(y)
        return (y, mask) if with_mask else y


def fold_weight_norm(net: nn.Module) -> nn.Module:
    """Replace weight-normed weights by their values, for speed when nothing learns any more."""
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return net
