"""The layers that the U-Net and the critics are built of.

B batch, C channels, H W image. Activation comes before batch norm, as in the lesson (fastai
v1; v2 has it the other way round).
"""

from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.nn.utils.parametrize import is_parametrized

M = TypeVar("M", bound=nn.Module)
Norm = Literal["batch", "weight", "spectral", "none"]
UpsampleKind = Literal["pixel_shuffle", "nearest", "bilinear", "transposed"]


def activation(leak: float | None) -> nn.Module:
    """ReLU, or leaky ReLU with slope `leak`."""
    return nn.ReLU() if leak is None else nn.LeakyReLU(leak)


def conv(
    n_in: int,
    n_out: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: int | None = None,
    bias: bool | None = None,
    norm: Norm = "batch",
    act: bool = True,
    leak: float | None = None,
    zero: bool = False,
) -> nn.Sequential:
    """Convolution, then activation, then batch norm: `B n_in H W -> B n_out H/stride W/stride`.

    Weights start Kaiming-normal. `norm="weight"` and `"spectral"` wrap the convolution instead
    of following it. With `zero` the block starts as zero (batch norm scale 0).
    """
    if padding is None:
        padding = (kernel - 1) // 2
    if bias is None:
        bias = norm != "batch"
    kind = SpectralConv2d if norm == "spectral" else nn.Conv2d
    layer: nn.Module = kind(n_in, n_out, kernel, stride, padding, bias=bias)
    nn.init.kaiming_normal_(layer.weight, a=leak or 0.0)  # type: ignore[arg-type]
    if bias:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    if norm == "weight":
        layer = weight_norm(layer)
    elif norm == "spectral":
        layer = spectral_norm(layer)
    layers = [layer]
    if act:
        layers.append(activation(leak))
    if norm == "batch":
        layers.append(batch_norm(n_out, zero=zero))
    return nn.Sequential(*layers)


class SpectralConv2d(nn.Conv2d):
    """A convolution to be wrapped by `spectral_norm` that divides its output, not its weight.

    It is the same, since a convolution is linear, and faster in the lesson's critic, whose weights
    are far larger than its outputs (docs/speed.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not is_parametrized(self):  # folded: the weight is divided already
            return super().forward(x)
        wrap: Any = self.parametrizations
        weight: Tensor = wrap.weight.original
        y = F.conv2d(x, weight, None, self.stride, self.padding)  # type: ignore[arg-type]
        y = y / self._largest(weight.permute(0, 2, 3, 1).flatten(1), wrap.weight[0])
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]

    def _largest(self, rows: Tensor, norm: Any) -> Tensor:
        """The largest singular value of `O H*W*I`, by one power iteration a training step.

        Its vectors are those of `norm`, whose columns are in the order I H W; here the weight is
        flattened in the order that channels-last memory has, which copies nothing.
        """
        u = norm._u.clone()
        v = norm._v.view(self.in_channels, *self.kernel_size).permute(1, 2, 0).flatten()
        if self.training:
            with torch.no_grad():
                u = F.normalize(torch.mv(rows, v), dim=0, eps=norm.eps)
                v = F.normalize(torch.mv(rows.T, u), dim=0, eps=norm.eps)
                norm._u.copy_(u)
                norm._v.copy_(
                    v.view(*self.kernel_size, self.in_channels).permute(2, 0, 1).flatten()
                )
        return torch.dot(u, torch.mv(rows, v))


def batch_norm(channels: int, *, zero: bool = False) -> nn.BatchNorm2d:
    """Batch norm whose shift starts at 1e-3 and whose scale starts at 1, or 0 with `zero`."""
    layer = nn.BatchNorm2d(channels)
    nn.init.constant_(layer.bias, 1e-3)
    nn.init.constant_(layer.weight, 0.0 if zero else 1.0)
    return layer


class ResBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: `B C H W -> B C H W`, or `B 2C H W` when dense.

    He et al. 2015 adds the input; with `dense` it is concatenated instead, after the output
    (Huang et al. 2016). `bottleneck` halves the width between the two convolutions.

    This is fastai v1's: both convolutions have their activation, and none follows the sum. v2's
    second has none, the sum has; and its bottleneck halves the block's output too.
    """

    def __init__(
        self,
        channels: int,
        *,
        dense: bool = False,
        bottleneck: bool = False,
        norm: Norm = "batch",
        leak: float | None = None,
    ) -> None:
        super().__init__()
        inner = channels // 2 if bottleneck else channels
        self.dense = dense
        self.body = nn.Sequential(
            conv(channels, inner, norm=norm, leak=leak),
            conv(inner, channels, norm=norm, leak=leak, zero=not dense),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return torch.cat([y, x], dim=1) if self.dense else x + y


class SelfAttention(nn.Module):
    """Every pixel attends to every other one: `B C H W -> B C H W` (Zhang et al. 2018).

    Query and key have C/8 channels; the softmax runs over the query axis, unscaled, as in the
    lesson. `gamma` starts at 0, so the layer starts as the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

        def project(n_out: int) -> nn.Module:
            layer = nn.Conv1d(channels, n_out, 1, bias=False)
            nn.init.kaiming_normal_(layer.weight)
            return spectral_norm(layer)

        self.query, self.key = project(channels // 8), project(channels // 8)
        self.value = project(channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)  # B C S: no copy when channels are last, and they stay last
        query, key, value = (layer(flat).mT for layer in (self.query, self.key, self.value))
        # each pixel sums over all others, 1024 at a time, so that no B S S is held in memory
        parts = [(part @ query.mT).softmax(dim=2) @ value for part in key.split(1024, dim=1)]
        attended = torch.cat(parts, dim=1)  # B S C
        return (self.gamma.to(x.dtype) * attended + flat.mT).mT.unflatten(2, x.shape[2:])


class PixelShuffleUp(nn.Sequential):
    """Double the grid: `B n_in H W -> B n_out 2H 2W` (Shi et al. 2016).

    1x1 convolution to four times the channels, ReLU, shuffle, and with `blur` a 2x2 mean that
    hides the remaining checkerboard (Sugawara et al. 2018).
    """

    def __init__(
        self, n_in: int, n_out: int, *, blur: bool, norm: Norm = "weight", icnr: bool = True
    ) -> None:
        first = conv(n_in, n_out * 4, 1, norm=norm)
        if icnr:
            init_icnr_(first[0])
        layers: list[nn.Module] = [first, nn.PixelShuffle(2)]
        if blur:
            layers += [nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)]
        super().__init__(*layers)


def upsampling(
    kind: UpsampleKind, n_in: int, n_out: int, *, blur: bool, norm: Norm, icnr: bool
) -> nn.Module:
    """What doubles the grid in one of the usual ways: `B n_in H W -> B n_out 2H 2W`.

    "nearest" and "bilinear" enlarge, and a 3x3 convolution follows (Odena et al. 2016);
    "transposed" is a 4x4 convolution that spreads each pixel with stride 2, as in DCGAN (Radford
    et al. 2015). `blur` and `icnr` are of `PixelShuffleUp` alone.
    """
    if kind == "pixel_shuffle":
        return PixelShuffleUp(n_in, n_out, blur=blur, norm=norm, icnr=icnr)
    if kind == "transposed":
        return transposed_conv(n_in, n_out, norm=norm)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=kind), conv(n_in, n_out, norm=norm))


def transposed_conv(n_in: int, n_out: int, *, norm: Norm) -> nn.Sequential:
    """Transposed 4x4 convolution of stride 2, then ReLU, and batch norm: as `conv`, doubling.

    `B n_in H W -> B n_out 2H 2W`. Weights start Kaiming-normal: each pixel is the sum of 4 of the
    16 weights times `n_in`.
    """
    layer: nn.Module = nn.ConvTranspose2d(n_in, n_out, 4, 2, 1, bias=norm != "batch")
    nn.init.normal_(layer.weight, std=(2 / (4 * n_in)) ** 0.5)  # type: ignore[arg-type]
    if norm != "batch":
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    if norm == "weight":
        layer = weight_norm(layer, dim=1)  # where a transposed weight has its outputs
    elif norm == "spectral":
        layer = spectral_norm(layer)
    behind = [batch_norm(n_out)] if norm == "batch" else []
    return nn.Sequential(layer, nn.ReLU(), *behind)


@torch.no_grad()
def init_icnr_(layer: Any, scale: int = 2) -> None:
    """Start the `scale**2` sub-pixels of one output channel equal (ICNR, Aitken et al. 2017).

    Otherwise the outputs of the first epochs show a checkerboard.
    """
    weight = layer.weight
    parents = torch.empty_like(weight[:: scale**2])
    nn.init.kaiming_normal_(parents)
    equal = parents.repeat_interleave(scale**2, dim=0)
    if hasattr(layer, "parametrizations"):
        layer.weight = equal  # weight norm splits it into length and direction
    else:
        layer.weight.copy_(equal)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the images of all workers, on any device.

    torch's SyncBatchNorm refuses CPU tensors; this one is for CPU workers, and equals one big batch
    even when the workers hold unequal shares of it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        count = x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)
        wide = x.float()
        sums = torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count])
        sums = all_reduce(sums)  # type: ignore[no-untyped-call]
        n = sums[-1].detach()
        mean, square = (sums[:-1] / n).chunk(2)
        var = square - mean.square()
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)


def sync_batch_norm(net: M, device: torch.device, world: int) -> M:
    """The network whose batch norms see the batches of all `world` workers; itself for one."""
    if world == 1:
        return net
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[return-value]
    for module in list(net.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                module.add_module(name, _synced(child))
    return net


def _synced(norm: nn.BatchNorm2d) -> CpuSyncBatchNorm:
    """The same batch norm, its very tensors in it."""
    synced = CpuSyncBatchNorm(norm.num_features, norm.eps, norm.momentum)
    synced.weight, synced.bias = norm.weight, norm.bias
    synced.running_mean, synced.running_var = norm.running_mean, norm.running_var
    synced.num_batches_tracked = norm.num_batches_tracked
    return synced.train(norm.training)


class Normalize(nn.Module):
    """Images in 0...1 to the units that an encoder was trained in, and back: `B 3 H W`."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def denormalize(self, x: Tensor) -> Tensor:
        return x * self.std + self.mean


def freeze(module: M) -> M:
    """Stop `module` from learning: no gradients, evaluation mode."""
    return module.eval().requires_grad_(False)


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Nearest resize of `x` to the grid of `like`, where an odd size made them differ."""
    return x if x.shape[-2:] == like.shape[-2:] else F.interpolate(x, like.shape[-2:])
