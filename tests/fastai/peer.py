"""fastai v2's networks beside ours, with the same weights in both.

Both hold their parameters and buffers in the same order, under other names.
"""

import torch
from fastai.layers import ConvLayer, MergeLayer, NormType, ResBlock, SequentialEx
from fastai.vision.all import create_body, resnet34
from fastai.vision.models.unet import DynamicUnet
from torch import Tensor, nn

NORMS = {"none": None, "batch": NormType.Batch, "weight": NormType.Weight}


def unet(n_out: int = 3, *, norm: str = "weight", bottleneck: bool = False, **options) -> nn.Module:
    """fastai v2's U-Net with v1's last block, without weights of any worth.

    v2 ends its `ResBlock` with an activation after the sum, and its bottleneck narrows the
    answer; v1's two convolutions with an activation each are put there, of v2's own layers.
    """
    body = create_body(resnet34(), n_in=3, pretrained=False)
    net = DynamicUnet(body, n_out, (64, 64), norm_type=NORMS[norm], **options)
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
    """Random numbers where a fresh network has zeros and ones, so that nothing hides; float64.

    In float32 an activation on the other side of zero, by rounding, makes another gradient.
    Old-style spectral norms get their true singular vectors: fastai's (torch's old) power
    iteration goes the other way round than torch's new one, and they meet where both stand still.
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
def give(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy every parameter and buffer of fastai's network into ours, and take its precision."""
    ours.to(next(theirs.parameters()).dtype)
    for kind in ("parameters", "buffers"):
        for their, our in zip(getattr(theirs, kind)(), getattr(ours, kind)(), strict=True):
            assert their.shape == our.shape
            our.copy_(their)


def close(ours: Tensor, theirs: Tensor, within: float = 1e-4) -> bool:
    """Whether two tensors are equal but for rounding, measured by the largest number."""
    assert ours.shape == theirs.shape
    theirs = theirs.detach().as_subclass(Tensor)
    return float((ours.detach() - theirs).abs().max()) <= within * float(theirs.abs().max())


def same(ours: nn.Module, theirs: nn.Module, x: Tensor, within: float = 1e-5) -> None:
    """Assert that answers, gradients of the picture and of all parameters are the same."""
    answers, pictures = [], []
    for net in (ours, theirs):
        net.zero_grad()
        picture = x.double().requires_grad_()
        torch.manual_seed(5)  # the same dropout
        y = net(picture)
        pictures.append(picture)
        answers.append(torch.as_tensor(y.detach()).flatten(1))
        (y * torch.linspace(-1, 2, y[0].numel()).view_as(y[0])).sum().backward()
    assert close(*answers, within)
    assert close(*(p.grad for p in pictures), within)
    for (name, our), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert our.grad is not None and close(our.grad, their.grad, within), name
    for (name, our), their in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert close(our, their, within), name
