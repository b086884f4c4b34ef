"""The lesson's networks for digits: grids of 14, 7, 4, 2 and 1, with or without shortcuts."""

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lessonpipe.config import StrictModel
from lessonpipe.nets.blocks import ResBlock, conv
from lessons.digits.he import he_layers

Kind = Literal["plain", "residual", "dense", "no shortcut"]
WIDTHS = (8, 16, 32, 16)
CLASSES = 10


class DigitNetConfig(StrictModel):
    """Options of `DigitNet`, and `build` of its model.json.

    `blocks` residual blocks behind each convolution but the last; `width` times the lesson's
    channels, which are 8, 16, 32 and 16; `mean` and `std` are of pixels in 0...1. With so many
    `layers` (6n+2) a plain or residual network is that of He et al. instead, 8 `width` wide.
    """

    kind: Kind = "plain"
    blocks: int = Field(1, ge=1)
    width: int = Field(1, ge=1)
    mean: float = 0.1307
    std: float = 0.3081
    layers: int | None = Field(None, ge=8)

    @model_validator(mode="after")
    def _can_be_built(self) -> "DigitNetConfig":
        if self.layers and (self.layers % 6 != 2 or self.kind not in ("plain", "residual")):
            raise ValueError(f"6n+2 layers, of kind plain or residual, not {self.layers}")
        return self


class DigitNet(nn.Module):
    """Bytes of digits to scores: `B 28 28 -> B 10`.

    - "plain": five stride-2 convolutions, each but the last with ReLU behind its batch norm:
      12,126 parameters.
    - "residual" and "dense": residual blocks behind each but the last; a dense block concatenates
      instead of adding (one block, one switch).
    - "no shortcut": the residual network's convolutions without what goes around them.
    """

    def __init__(self, config: DigitNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [n * config.width for n in WIDTHS]
        deep, shortcuts = config.kind != "plain", config.kind == "residual"
        if config.layers:
            layers = he_layers(config.layers, widths[0], shortcuts=shortcuts, classes=CLASSES)
        else:
            layers = _deep(config.kind, widths, config.blocks) if deep else _plain(widths)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        pixels = (x[:, None].float() / 255 - self.config.mean) / self.config.std  # B 1 28 28
        return self.layers(pixels).flatten(1)


def _plain(widths: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    n = 1
    for width in widths:
        layers += [nn.Conv2d(n, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
        n = width
    return [*layers, nn.Conv2d(n, CLASSES, 3, 2, 1), nn.BatchNorm2d(CLASSES)]


def _deep(kind: Kind, widths: list[int], blocks: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    n = 1
    for width in widths:
        layers.append(conv(n, width, stride=2))
        n = width
        for _ in range(blocks):
            block = ResBlock(n, dense=kind == "dense")
            layers.append(_without_shortcut(block) if kind == "no shortcut" else block)
            n = n * 2 if kind == "dense" else n
    return [*layers, conv(n, CLASSES, stride=2)]


def _without_shortcut(block: ResBlock) -> nn.Module:
    *_, last = (m for m in block.body.modules() if isinstance(m, nn.BatchNorm2d))
    nn.init.ones_(last.weight)  # a residual block starts by answering nothing
    return block.body


def padded_crops(x: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random views as in the lesson: pad by 3 and crop again, one draw a picture (`B 28 28`)."""
    down, right = torch.randint(0, 7, (2, len(x)), generator=rng).to(x.device)
    wide = nn.functional.pad(x, (3, 3, 3, 3))
    places = wide.unfold(1, 28, 1).unfold(2, 28, 1)  # B 7 7 28 28, nothing is copied
    return places[torch.arange(len(x), device=x.device), down, right], y
