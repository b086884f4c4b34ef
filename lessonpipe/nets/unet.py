"""The U-Net around a pretrained encoder (Ronneberger et al. 2015, in fastai's form).

Images go in and come out in the encoder's normalised units. Knows nothing of losses.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.nets.blocks import (
    Norm,
    ResBlock,
    SelfAttention,
    UpsampleKind,
    batch_norm,
    conv,
    resize_like,
    upsampling,
)
from lessonpipe.nets.encoder import Encoder, EncoderName
from lessonpipe.nets.inpaint import push_pull

Output = Literal["correction", "inpaint", "range", "plain"]
Concat = Literal["before", "after"]
Width = Annotated[int, Field(ge=1, le=8192)]
MASK_LOGIT = -4.0  # a mask starts where nothing is damaged, as pictures are nearly everywhere


class UnetConfig(StrictModel):
    """Options of `Unet`: the section `net` of params.yaml and `build` of a model's model.json.

    - `encoder`: any feature network that timm knows; `encoder_depth` stops after so many halvings,
      which leaves out the widest layers: a small network, that sees less of what is around.
    - `widths`: the width after each block, deep to shallow; by default the lesson's rule (half of
      what comes from below plus the skip, halved once more in the last block).
    - `head`: channels at full resolution; by default as many as the last block gives.
    - `skips`: the cross connections of the encoder's features; without them the decoder sees the
      coarsest alone. `concat`: they come before a block's convolutions, as in the lesson, or after.
    - `upsample`: how the grid is doubled. `blur` behind it and `icnr`, sub-pixels that start equal,
      are of "pixel_shuffle" alone.
    - `attention`: self-attention in the third block from the end. `residual` and `dense`: residual
      or dense blocks in place of the second convolutions. `bottleneck`: in the last residual block.
      `last_cross`: the input is concatenated before the last residual block.
    - `output`: "range" is the lesson's sigmoid scaled to `y_range`; "correction" adds the output
      to the input, and starts as the identity; "inpaint" corrects too, where a mask that it puts
      out as well has been filled from around (`inpaint.py`); "plain" is the bare output.
    """

    encoder: EncoderName
    encoder_depth: int | None = Field(None, ge=4, le=10)
    widths: list[Width] | None = Field(None, max_length=10)
    head: Width | None = None
    upsample: UpsampleKind = "pixel_shuffle"
    blur: bool = True
    norm: Norm = "weight"
    icnr: bool = True
    attention: bool = False
    residual: bool = False
    dense: bool = False
    skips: bool = True
    concat: Concat = "before"
    bottleneck: bool = False
    last_cross: bool = True
    output: Output = "range"
    y_range: tuple[float, float] = (-3.0, 3.0)

    @model_validator(mode="after")
    def _one_kind_of_block(self) -> "UnetConfig":
        if self.residual and self.dense:
            raise ValueError("a decoder's blocks are residual or dense, not both")
        return self


class Block(nn.Module):
    """One decoder block: upsample what comes from below, concatenate the skip, mix both.

    `deep: B n_deep H W`, `skip: B n_skip 2H 2W -> B n_out 2H 2W`. With `concat: after` the skip
    follows the convolutions, which makes it `B n_out+n_skip 2H 2W`. Where `n_skip` is 0, the skip
    gives its grid alone. A dense block, which doubles its width, has an even `n_out`.
    """

    def __init__(
        self, config: UnetConfig, n_deep: int, n_skip: int, n_up: int, n_out: int, attention: bool
    ) -> None:
        super().__init__()
        norm, self.concat = config.norm, config.concat
        self.upsample = upsampling(
            config.upsample, n_deep, n_up, blur=config.blur, norm=norm, icnr=config.icnr
        )
        self.skip_norm = batch_norm(n_skip) if n_skip else None
        n_mid = n_out // 2 if config.dense else n_out
        self.conv1 = conv(n_up + n_skip if self.concat == "before" else n_up, n_mid, norm=norm)
        self.conv2 = (
            ResBlock(n_mid, dense=config.dense, norm=norm)
            if config.residual or config.dense
            else conv(n_out, n_out, norm=norm)
        )
        self.attention = SelfAttention(n_out) if attention else nn.Identity()

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        up = resize_like(self.upsample(deep), skip)
        features = [] if self.skip_norm is None else [self.skip_norm(skip)]
        if self.concat == "before":
            return self._mixed(torch.cat([up, *features], dim=1))
        return torch.cat([self._mixed(up), *map(F.relu, features)], dim=1)

    def _mixed(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.attention(self.conv2(self.conv1(F.relu(x))))
        return mixed


class Unet(nn.Module):
    """An image to an image of the same size: `B 3 H W -> B out_channels H W`.

    Raises `ValueError` when `config.widths` has not one width for each skip of the encoder.
    """

    def __init__(self, encoder: Encoder, config: UnetConfig, *, out_channels: int = 3) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        widths, norm, last_cross = config.widths, config.norm, config.last_cross
        *skips, n = encoder.channels  # shallow to deep
        n_middle = n * 2 if widths is None else n
        self.middle = nn.Sequential(
            batch_norm(n),
            nn.ReLU(),
            conv(n, n_middle, norm=norm),
            conv(n_middle, n, norm=norm),
        )
        if widths is not None and len(widths) != len(skips):
            raise ValueError(f"widths needs {len(skips)} numbers for this encoder, not {widths}")
        blocks = []
        for i, n_feature in enumerate(reversed(skips)):
            n_skip = n_feature * config.skips
            n_up = n // 2 if widths is None else widths[i]
            n_out = n_up + n_skip if widths is None else widths[i]
            if widths is None and i == len(skips) - 1:
                n_out //= 2
            if config.dense:
                n_out = max(2, n_out // 2 * 2)
            third_last = i == len(skips) - 3
            blocks.append(Block(config, n, n_skip, n_up, n_out, config.attention and third_last))
            n = n_out if config.concat == "before" else n_out + n_skip
        self.blocks = nn.ModuleList(blocks)
        n_head = config.head or n
        self.upsample = upsampling(
            config.upsample, n, n_head, blur=False, norm=norm, icnr=config.icnr
        )
        n_cross = n_head + encoder.in_channels * last_cross
        self.last = ResBlock(n_cross, bottleneck=config.bottleneck, norm=norm)
        # a normalised last layer could not put out 0, which is where a correction starts; scores of
        # classes have no batch norm, while fastai's weight norm is everywhere
        normed = config.output == "range" or (config.output, norm) == ("plain", "weight")
        output_norm: Norm = norm if normed else "none"
        has_mask = config.output == "inpaint"
        self.output = conv(n_cross, out_channels + has_mask, 1, norm=output_norm, act=False)
        if config.output in {"correction", "inpaint"}:
            nn.init.zeros_(self.output[0].weight)  # type: ignore[arg-type]
        if has_mask:
            nn.init.constant_(self.output[0].bias[-1:], MASK_LOGIT)  # type: ignore[arg-type,index]

    def forward(self, x: Tensor) -> Tensor:
        return self.with_mask(x)[0]

    def with_mask(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The output, and the logits of the mask, `B 1 H W`, where `config.output` is "inpaint"."""
        *skips, deep = self.encoder(x)
        deep = self.middle(deep)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            deep = block(deep, skip)
        deep = resize_like(self.upsample(deep), x)
        if self.config.last_cross:
            deep = torch.cat([deep, x.to(deep.dtype)], dim=1)
        y = self.output(self.last(deep)).float()
        if self.config.output == "correction":
            return x + y, None
        if self.config.output == "inpaint":
            correction, logits = y[:, :-1], y[:, -1:]
            return push_pull(x, torch.sigmoid(-logits)) + correction, logits
        if self.config.output == "range":
            low, high = self.config.y_range
            return torch.sigmoid(y) * (high - low) + low, None
        return y, None

    def param_groups(self) -> list[list[nn.Parameter]]:
        """The parameters in the lesson's three groups: early encoder, late encoder, decoder."""
        early, late = self.encoder.param_groups()
        encoder = {id(p) for p in self.encoder.parameters()}
        return [early, late, [p for p in self.parameters() if id(p) not in encoder]]


def pad_to_grid(x: Tensor, grid: int) -> Tensor:
    """Repeat the last pixels right and below, to a multiple of `grid`, at least two of them.

    `B C H W -> B C H' W'`.
    """
    height, width = x.shape[-2:]
    down = max(2 * grid, -(-height // grid) * grid) - height
    right = max(2 * grid, -(-width // grid) * grid) - width
    return F.pad(x, (0, right, 0, down), "replicate") if down or right else x
