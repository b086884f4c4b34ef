"""The generator: a U-Net around a pretrained encoder (Ronneberger et al. 2015, fastai's form).

Pictures go in and come out in the encoder's normalised units. Knows nothing of losses.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonpipe.nets.blocks import (
    Norm,
    PixelShuffleUp,
    ResBlock,
    SelfAttention,
    batch_norm,
    conv,
    resize_like,
)
from lessonpipe.nets.encoder import Encoder

Output = Literal["correction", "range", "plain"]
Concat = Literal["before", "after"]


class Block(nn.Module):
    """One step up: enlarge what is known, join what the encoder saw there, mix both.

    `deep: B n_deep H W`, `tap: B n_tap 2H 2W -> B n_out 2H 2W`. The two are concatenated before
    the convolutions, as in the lesson, so that both get mixed; with `join` "after" behind them,
    which makes it `B n_out+n_tap 2H 2W`.
    """

    def __init__(
        self,
        n_deep: int,
        n_tap: int,
        n_up: int,
        n_out: int,
        *,
        blur: bool,
        norm: Norm,
        icnr: bool,
        attention: bool,
        residual: bool,
        join: Concat,
    ) -> None:
        super().__init__()
        self.join = join
        self.up = PixelShuffleUp(n_deep, n_up, blur=blur, norm=norm, icnr=icnr)
        self.tap_norm = batch_norm(n_tap)
        self.first = conv(n_up + n_tap if join == "before" else n_up, n_out, norm=norm)
        self.second = ResBlock(n_out, norm=norm) if residual else conv(n_out, n_out, norm=norm)
        self.attention = SelfAttention(n_out) if attention else nn.Identity()

    def forward(self, deep: Tensor, tap: Tensor) -> Tensor:
        up, tap = resize_like(self.up(deep), tap), self.tap_norm(tap)
        if self.join == "before":
            return self.attention(self.second(self.first(F.relu(torch.cat([up, tap], dim=1)))))
        mixed = self.attention(self.second(self.first(F.relu(up))))
        return torch.cat([mixed, F.relu(tap)], dim=1)


class Unet(nn.Module):
    """A picture to a picture of the same size: `B 3 H W -> B out_channels H W`.

    - `widths`: the width after each block, deep to shallow; by default the lesson's rule (half
      of what comes from below plus the tap, halved once more in the last block).
    - `head`: channels at full size; by default as many as the last block gives.
    - `output`: "range" is the lesson's sigmoid scaled to `y_range`; "correction" adds the
      answer to the input, and starts as the identity; "plain" is the bare answer.
    - `attention`: in the third block from the end; `residual`: residual blocks in place of the
      second convolutions; `bottleneck`: in the last residual block; `icnr`: sub-pixels start
      equal.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        out_channels: int = 3,
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
        self.encoder, self.output, self.y_range = encoder, output, y_range
        self.last_cross = last_cross
        *taps, n = encoder.channels  # shallow to deep
        n_middle = n * 2 if widths is None else n
        self.middle = nn.Sequential(
            batch_norm(n),
            nn.ReLU(),
            conv(n, n_middle, norm=norm),
            conv(n_middle, n, norm=norm),
        )
        if widths is not None and len(widths) != len(taps):
            raise ValueError(f"widths needs {len(taps)} numbers for this encoder, not {widths}")
        blocks = []
        for i, n_tap in enumerate(reversed(taps)):
            n_up = n // 2 if widths is None else widths[i]
            n_out = n_up + n_tap if widths is None else widths[i]
            if widths is None and i == len(taps) - 1:
                n_out //= 2
            blocks.append(
                Block(
                    n,
                    n_tap,
                    n_up,
                    n_out,
                    blur=blur,
                    norm=norm,
                    icnr=icnr,
                    attention=attention and i == len(taps) - 3,
                    residual=residual,
                    join=join,
                )
            )
            n = n_out if join == "before" else n_out + n_tap
        self.blocks = nn.ModuleList(blocks)
        n_head = head or n
        self.up = PixelShuffleUp(n, n_head, blur=False, norm=norm, icnr=icnr)
        n_cross = n_head + encoder.in_channels * last_cross
        self.last = ResBlock(n_cross, bottleneck=bottleneck, norm=norm)
        answer_norm: Norm = norm if output == "range" else "none"
        self.answer = conv(n_cross, out_channels, 1, norm=answer_norm, act=False)
        if output == "correction":
            nn.init.zeros_(self.answer[0].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        *taps, deep = self.encoder(x)
        deep = self.middle(deep)
        for block, tap in zip(self.blocks, reversed(taps), strict=True):
            deep = block(deep, tap)
        deep = resize_like(self.up(deep), x)
        if self.last_cross:
            deep = torch.cat([deep, x.to(deep.dtype)], dim=1)
        y = self.answer(self.last(deep)).float()
        if self.output == "correction":
            return x + y
        if self.output == "range":
            low, high = self.y_range
            return torch.sigmoid(y) * (high - low) + low
        return y

    def param_groups(self) -> list[list[nn.Parameter]]:
        """The parameters in the lesson's three groups: early encoder, late encoder, decoder."""
        early, late = self.encoder.param_groups()
        own = {id(p) for p in self.encoder.parameters()}
        return [early, late, [p for p in self.parameters() if id(p) not in own]]
