"""A pretrained image network, cut into the features that a U-Net skips to. Any that timm knows."""

import difflib
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lessonpipe.errors import UserError
from lessonpipe.nets.pretrained import create_features

# of timm's registry: no address of a hub or folder
EncoderName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_.]+$")]


class Encoder(nn.Module):
    """Features at 1/2, 1/4, ... of the image: `B C H W -> [B C_i H/2^i W/2^i]`, fine to coarse.

    `mean` and `std` are those the weights were trained with. `depth` stops after that many
    halvings. Raises `UserError` for a name that timm does not know.
    """

    def __init__(self, name: str, *, pretrained: bool, depth: int | None = None) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), n=6, cutoff=0.4)
            raise UserError(
                f"no encoder is called {name!r}; timm knows {len(timm.list_models())}, such as "
                + ", ".join(dict.fromkeys(["resnet34", "tf_efficientnet_lite0", *close]))
            )
        options: dict[str, Any] = {} if depth is None else {"out_indices": tuple(range(depth))}
        self.net = create_features(name, pretrained=pretrained, **options)
        if depth is not None:
            _drop_unused_blocks(self.net)
        self.channels: list[int] = self.net.feature_info.channels()
        self.reductions: list[int] = self.net.feature_info.reduction()
        self.in_channels = 3
        config = timm.get_pretrained_cfg(name)
        self.mean: tuple[float, ...] = config.mean if config else (0.485, 0.456, 0.406)
        self.std: tuple[float, ...] = config.std if config else (0.229, 0.224, 0.225)
        self.frozen = False
        self.train_bn = True

    def forward(self, x: Tensor) -> list[Tensor]:
        if self.frozen:
            with torch.no_grad():
                return self.net(x)
        return self.net(x)

    def train(self, mode: bool = True) -> "Encoder":
        """Training mode, in which batch norms keep their statistics unless `train_bn`."""
        super().train(mode)
        for norm in self._norms():
            norm.train(mode and self.train_bn)
        return self

    def freeze(self, frozen: bool | Literal["early"] = True, *, train_bn: bool = False) -> None:
        """Freeze all of it, its `early` part up to 1/8, or nothing.

        With `train_bn` batch norms train even where the rest is frozen, as in the lesson; without
        it they keep their statistics everywhere.
        """
        self.net.requires_grad_(not frozen)
        if frozen == "early":
            for parameter in self.param_groups()[1]:
                parameter.requires_grad_(True)
        for norm in self._norms() if train_bn else ():
            norm.requires_grad_(True)
        self.frozen, self.train_bn = frozen is True and not train_bn, train_bn
        self.train(self.training)

    def _norms(self) -> list[nn.Module]:
        return [m for m in self.net.modules() if isinstance(m, nn.BatchNorm2d)]

    def param_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters up to the features at 1/8, and the rest."""
        at_eighth = self.net.feature_info.module_name(self.reductions.index(8))
        early: list[nn.Parameter] = []
        late: list[nn.Parameter] = []
        passed = False
        for name, parameter in self.net.named_parameters():
            inside = name.startswith((at_eighth + ".", at_eighth.replace(".", "_") + "."))
            if passed and not inside:
                late.append(parameter)
            else:
                early.append(parameter)
            passed = passed or inside
        return early, late


def _drop_unused_blocks(net: nn.Module) -> None:
    """Remove what follows the last feature: timm's EfficientNets compute it all the same."""
    *_, last = net.feature_info.module_name()  # type: ignore[operator, union-attr]
    parent, _, index = last.rpartition(".")
    if parent == "blocks" and isinstance(net.blocks, nn.Sequential):
        net.blocks = net.blocks[: int(index) + 1]
