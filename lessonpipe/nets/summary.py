"""The table of a network's layers: what each answers with, what it holds, what of it learns.

Nothing is computed: network and picture live on torch's "meta" device, which knows only shapes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lessonpipe.errors import UserError
from lessonpipe.nets.critic import LessonCritic
from lessonpipe.nets.encoder import Encoder
from lessonpipe.nets.unet import Unet


@dataclass(frozen=True)
class Row:
    """One layer, in the order in which layers answer; `shape` has no batch in it."""

    layer: str
    shape: tuple[int, ...]
    parameters: int
    trains: bool


def lesson_unet(
    encoder: str = "resnet34",
    *,
    classes: int = 12,
    bottleneck: bool = True,
    attention: bool = False,
) -> Unet:
    """The lesson's CamVid network, its encoder frozen but for the batch norms: only shapes."""
    with torch.device("meta"):
        net = Unet(
            Encoder(encoder, pretrained=False),
            out_channels=classes,
            blur=False,
            norm="none",
            attention=attention,
            bottleneck=bottleneck,
            output="plain",
        )
    net.encoder.freeze(train_bn=True)
    return net


def lesson_critic(width: int = 128) -> LessonCritic:
    """The lesson's critic: only shapes."""
    with torch.device("meta"):
        return LessonCritic(width)


def rows(net: nn.Module, size: tuple[int, int], channels: int = 3) -> list[Row]:
    """The layers of a network as a picture of `size`, height and width, passes through them.

    A layer is what has no parts, or what has parameters of its own beside its parts. Raises
    `UserError` for a picture that is too small.
    """
    seen: list[Row] = []

    def note(module: nn.Module, given: Any, answer: Tensor) -> None:
        own = _own(module)
        trains = any(p.requires_grad for p in own)
        name = type(module).__name__.removeprefix("Parametrized")
        seen.append(Row(name, tuple(answer.shape[1:]), sum(p.numel() for p in own), trains))

    hooks = [layer.register_forward_hook(note) for layer in _layers(net)]
    try:
        net.to("meta").eval()(torch.empty(1, channels, *size, device="meta"))
    except RuntimeError as error:
        raise UserError(f"a picture of {size[0]}x{size[1]} is too small for it: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def table(rows: Iterable[Row]) -> str:
    """The rows as text, and below them how many parameters there are and how many learn."""
    rows = list(rows)
    lines = [f"{'layer':<24}{'output shape':<20}{'parameters':>12}  trains", "-" * 64]
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        count, trains = (f"{row.parameters:,}", row.trains) if row.parameters else ("", "")
        lines.append(f"{row.layer:<24}{shape:<20}{count:>12}  {trains!s:>6}".rstrip())
    total, free = (
        sum(row.parameters for row in rows if row.trains or not learning)
        for learning in (False, True)
    )
    lines += ["-" * 64, f"parameters {total:,}", f"trained    {free:,}"]
    return "\n".join([*lines, f"frozen     {total - free:,}"])


def _parts(module: nn.Module) -> list[nn.Module]:
    return [part for name, part in module.named_children() if name != "parametrizations"]


def _own(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that belong to no part; those of weight and spectral norm included."""
    inner = {id(p) for part in _parts(module) for p in part.parameters()}
    return [p for p in module.parameters() if id(p) not in inner]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    parts = _parts(module)
    if (not parts or _own(module)) and not isinstance(module, nn.Identity):
        yield module
    for part in parts:
        yield from _layers(part)
