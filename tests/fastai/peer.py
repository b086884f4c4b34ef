"""fastai v2's networks with the same weights as ours.

Both hold their parameters and buffers in the same order, under other names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import timm
import torch
from fastai.layers import ConvLayer, MergeLayer, NormType, ResBlock, SequentialEx
from fastai.vision.all import create_body, resnet34
from fastai.vision.models.unet import DynamicUnet
from torch import Tensor, nn

NORMS = {"none": None, "batch": NormType.Batch, "weight": NormType.Weight}
narrow_resnet = partial(timm.create_model, layers=(1, 2, 1, 1), channels=(16, 24, 32, 48))


@contextmanager
def narrow() -> Iterator[None]:
    """Within the block encoders have few, narrow layers: what is equal there is so in any width."""
    with mock.patch.object(timm, "create_model", narrow_resnet):
        yield


def body(*, narrow: bool = False) -> nn.Sequential:
    """The untrained encoder of fastai's U-Net: resnet34, or a narrow one of the same form."""
    if not narrow:
        return create_body(resnet34(), n_in=3, pretrained=False)
    net = narrow_resnet("resnet34")
    layers = (net.layer1, net.layer2, net.layer3, net.layer4)
    return nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool, *layers)


def unet(
    n_out: int = 3,
    *,
    norm: str = "weight",
    bottleneck: bool = False,
    narrow: bool = False,
    **options,
) -> nn.Module:
    """fastai v2's U-Net with v1's last block, untrained.

    v2 ends its `ResBlock` with an activation after the sum, and its bottleneck narrows the
    output; v1's two convolutions with an activation each are put there, of v2's own layers.
    """
    net = DynamicUnet(body(narrow=narrow), n_out, (64, 64), norm_type=NORMS[norm], **options)
    last = next(i for i, layer in enumerate(net.layers) if isinstance(layer, ResBlock))
    n = net.layers[last + 1][0].in_channels
    inner = n // 2 if bottleneck else n
    net.layers[last] = SequentialEx(
        ConvLayer(n, inner, norm_type=NORMS[norm]),
        ConvLayer(inner, n, norm_type=NORMS[norm]),
        MergeLayer(),
    )
    return net


@torch.no_grad()
def shake(net: nn.Module) -> nn.Module:
    """Random numbers in place of the zeros and ones of an untrained network; float64.

    In float32 rounding can turn an activation on or off, which makes another gradient.
    Old-style spectral norms get their true singular vectors: fastai's (torch's old) power
    iteration goes the other way round than torch's new one, and both have the same fixed point.
    """
    for module in net.double().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if hasattr(module, "gamma"):
            module.gamma.fill_(0.7)
        if hasattr(module, "weight_orig"):
            u, _, v = torch.linalg.svd(module.weight_orig.flatten(1), full_matrices=False)
            module.weight_u.copy_(u[:, 0])
            module.weight_v.copy_(v[0])
    return net


@torch.no_grad()
def copy_weights(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy every parameter and buffer of fastai's network into ours, which takes its precision."""
    ours.to(next(theirs.parameters()).dtype)
    for kind in ("parameters", "buffers"):
        for their, our in zip(getattr(theirs, kind)(), getattr(ours, kind)(), strict=True):
            assert their.shape == our.shape
            our.copy_(their)


def close(ours: Tensor, theirs: Tensor, within: float = 1e-4) -> bool:
    """Whether two tensors are equal but for rounding, relative to the largest value."""
    assert ours.shape == theirs.shape
    theirs = theirs.detach().as_subclass(Tensor)
    return float((ours.detach() - theirs).abs().max()) <= within * float(theirs.abs().max())


def assert_same(ours: nn.Module, theirs: nn.Module, x: Tensor, within: float = 1e-5) -> None:
    """Assert that outputs, and gradients of the input and of all parameters, are the same."""
    outputs, inputs = [], []
    for net in (ours, theirs):
        net.zero_grad()
        image = x.double().requires_grad_()
        torch.manual_seed(5)  # the same dropout
        y = net(image)
        inputs.append(image)
        outputs.append(torch.as_tensor(y.detach()).flatten(1))
        (y * torch.linspace(-1, 2, y[0].numel()).view_as(y[0])).sum().backward()
    assert close(*outputs, within)
    assert close(*(p.grad for p in inputs), within)
    for (name, our), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert our.grad is not None and close(our.grad, their.grad, within), name
    for (name, our), their in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert close(our, their, within), name
