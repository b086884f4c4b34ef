"""Our U-Net and fastai's, part by part and as a whole."""

import pytest
import torch
from fastai.callback.hook import Hooks, hook_outputs, model_sizes
from fastai.layers import (
    ConvLayer,
    PixelShuffle_ICNR,
    ResBlock,
    SelfAttention,
    flatten_model,
    icnr_init,
)
from fastai.vision.all import resnet34
from fastai.vision.learner import model_meta
from fastai.vision.models.unet import DynamicUnet, _get_sz_change_idxs
from torch import nn

from lessonpipe.nets import Encoder, Unet, UnetConfig, blocks
from tests.fastai import peer

CAMVID = {"norm": "none", "blur": False, "output": "plain"}
# our options, our output's channels, and fastai's options
FORMS = {
    "generator": (
        {"attention": True},
        3,
        {"blur": True, "self_attention": True, "y_range": (-3.0, 3.0)},
    ),
    "feature-loss generator": ({"output": "plain"}, 3, {"blur": True}),
    "camvid": (CAMVID, 12, {"n_out": 12, "norm": "none"}),
    "camvid with bottleneck": (
        {**CAMVID, "bottleneck": True},
        12,
        {"n_out": 12, "norm": "none", "bottleneck": True},
    ),
}
COUNTS = (41_413_534, 41_229_213, 41_222_168, 41_133_018)


def our_unet(form: str) -> Unet:
    options, channels, _ = FORMS[form]
    encoder = Encoder("resnet34", pretrained=False)
    return Unet(encoder, UnetConfig(encoder="resnet34", **options), out_channels=channels)


def narrow_pair(form: str) -> tuple[Unet, nn.Module]:
    """Ours and fastai's on a narrow encoder with the same weights."""
    torch.manual_seed(1)
    theirs = peer.shake(peer.unet(**FORMS[form][2], narrow=True))
    with peer.narrow():
        ours = our_unet(form)
    peer.copy_weights(theirs, ours)
    return ours, theirs


def meta_pair(form: str) -> tuple[Unet, nn.Module]:
    """Ours and fastai's in full width, of which only the shapes exist."""
    with torch.device("meta"):
        return our_unet(form), peer.unet(**FORMS[form][2])


def image(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize(("form", "parameters"), list(zip(FORMS, COUNTS, strict=True)))
def test_the_lessons_unet_has_the_parameters_of_fastais(form, parameters):
    for net in meta_pair(form):
        assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("form", FORMS)
def test_the_unet_has_the_output_and_the_gradients_of_fastais(form):
    ours, theirs = narrow_pair(form)
    peer.assert_same(ours.eval(), theirs.eval(), image(64, 64))


@pytest.mark.parametrize("form", ["generator", "camvid"])
def test_the_unet_trains_like_fastais_with_the_same_weights(form):
    ours, theirs = narrow_pair(form)
    peer.assert_same(ours.train(), theirs.train(), image(64, 96))


@torch.no_grad()
def test_the_unet_has_the_output_of_fastais_in_odd_sizes():
    ours, theirs = narrow_pair("generator")
    for size in ((65, 97), (33, 120)):
        outputs = ours.eval()(image(*size)), theirs.eval()(image(*size))
        assert outputs[0].shape == (2, 3, *size)
        assert peer.close(*outputs)


@torch.no_grad()
def test_the_encoder_has_the_features_that_fastai_skips_to():
    torch.manual_seed(1)
    theirs, ours = peer.shake(peer.body()).eval(), Encoder("resnet34", pretrained=False).eval()
    peer.copy_weights(theirs, ours)
    changes = _get_sz_change_idxs(model_sizes(theirs, size=(64, 64)))
    with hook_outputs([theirs[i] for i in changes]) as hooks:
        deepest = theirs(image(64, 64))
        *skips, deep = ours(image(64, 64))
        assert peer.close(deep, deepest)
        shapes = [(64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)]
        assert [skip.shape[1:] for skip in skips] == shapes
        for skip, stored in zip(skips, hooks.stored, strict=True):
            assert peer.close(skip, stored)


@torch.no_grad()
def test_the_unet_skips_where_fastais_does_and_agrees_after_every_block():
    ours, theirs = narrow_pair("generator")
    x = image(64, 64)
    our_steps = [ours.middle, *ours.blocks, ours.upsample, ours.last, ours.output]
    upsample = next(m for m in reversed(theirs.layers) if isinstance(m, PixelShuffle_ICNR))
    last, output = theirs.layers[-4:-2]
    their_steps = [*theirs.layers[3:8], upsample, last, output]

    def record(module, args, output):
        return output.detach().clone()

    with Hooks(our_steps, record) as our_hooks, Hooks(their_steps, record) as their_hooks:
        ours.eval()(x)
        theirs.eval()(x)
        *skips, deep = ours.encoder(x)
        assert peer.close(deep, theirs.layers[0](x))
    for skip, stored in zip(reversed(skips), theirs.sfs.stored, strict=True):
        assert peer.close(skip, stored)
    assert len(our_hooks.stored) == 8
    for step, other in zip(our_hooks.stored, their_hooks.stored, strict=True):
        assert peer.close(step, other)


def test_the_parameter_groups_of_the_unet_are_fastais():
    ours, theirs = meta_pair("generator")
    split = model_meta[resnet34]["split"](theirs)
    for our_group, their_group in zip(ours.param_groups(), split, strict=True):
        assert [p.shape for p in our_group] == [p.shape for p in their_group]


@pytest.mark.parametrize("norm", ["none", "weight"])
@pytest.mark.parametrize("blur", [False, True])
def test_upsampling_by_sub_pixels_starts_and_trains_like_fastais(norm, blur):
    theirs = PixelShuffle_ICNR(16, 6, blur=blur, norm_type=peer.NORMS[norm])
    ours = blocks.PixelShuffleUp(16, 6, blur=blur, norm=norm)
    starts = ours[0][0].weight, getattr(theirs[0][0], "weight_v", theirs[0][0].weight)
    for weight in starts:
        assert peer.close(weight[1::4], weight[::4], 1e-6)
    torch.manual_seed(3)
    start = icnr_init(torch.empty(24, 16, 1, 1))
    torch.manual_seed(3)
    blocks.init_icnr_(ours[0][0])
    assert peer.close(ours[0][0].weight, start, 1e-6)
    peer.copy_weights(theirs.double(), ours)
    peer.assert_same(ours, theirs, torch.randn(2, 16, 5, 7))


def test_attention_is_fastais():
    torch.manual_seed(0)
    theirs = peer.shake(SelfAttention(32))
    ours = blocks.SelfAttention(32)
    assert ours.gamma.item() == 0
    peer.copy_weights(theirs, ours)
    for mode in (True, False):
        peer.assert_same(ours.train(mode), theirs.train(mode), torch.randn(2, 32, 6, 5))


def test_batch_norm_comes_after_the_activation_as_in_v1_where_v2_puts_it_before():
    theirs = peer.shake(ConvLayer(3, 8, bn_1st=False))
    ours = blocks.conv(3, 8)
    peer.copy_weights(theirs, ours)
    x = torch.randn(2, 3, 9, 9).double()
    peer.assert_same(ours, theirs, x)
    new = ConvLayer(3, 8)  # v2 as it comes
    peer.copy_weights(theirs, new)
    assert not peer.close(ours(x), new(x))


def test_the_last_block_is_v1s_which_adds_after_the_activation_where_v2_adds_before_it():
    ours = blocks.ResBlock(8, norm="none")
    theirs = ResBlock(1, 8, 8, norm_type=None)
    peer.copy_weights(theirs, ours)
    x = torch.randn(2, 8, 6, 6)
    first, second = (theirs.convpath[i][0] for i in (0, 1))
    assert peer.close(ours(x), x + second(first(x).relu()).relu())
    assert peer.close(theirs(x), (x + second(first(x).relu())).relu())


def test_v2s_bottleneck_narrows_the_output_and_ours_keeps_the_width_as_v1():
    x = torch.randn(1, 99, 4, 4)
    assert ResBlock(1, 99, 49, norm_type=None)(x).shape[1] == 49
    assert blocks.ResBlock(99, bottleneck=True, norm="none")(x).shape[1] == 99
    with torch.device("meta"):
        lesson = DynamicUnet(peer.body(), 12, (64, 64), norm_type=None, bottle=True)
    assert sum(p.numel() for p in lesson.parameters()) == 41_115_867
    narrow = DynamicUnet(peer.body(narrow=True), 12, (64, 64), norm_type=None, bottle=True)
    expected = narrow.layers[-2][0].in_channels  # the width before its narrowed last block
    with pytest.raises(RuntimeError, match=f"to have {expected} channels"):
        narrow(image(64, 64).float())


def test_the_lessons_camvid_network_has_fastais_layers_shapes_and_counts():
    ours, theirs = meta_pair("camvid with bottleneck")
    for group in model_meta[resnet34]["split"](theirs)[:2]:
        for parameter in group:
            parameter.requires_grad_(False)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # as fastai's train_bn does
            module.requires_grad_(True)
    ours.encoder.freeze(train_bn=True)

    def record(module, args, output):
        parameters = list(module.parameters())
        if not parameters and not isinstance(module, nn.PixelShuffle):
            return None
        trained = any(p.requires_grad for p in parameters)
        count = sum(p.numel() for p in parameters)
        return type(module).__name__, tuple(output.shape[1:]), count, trained

    layers = []
    for net in (ours, theirs):
        with Hooks(flatten_model(net.eval()), record) as hooks:
            net(torch.empty(1, 3, 360, 480, device="meta"))
            layers.append([layer for layer in hooks.stored if layer])
    assert layers[0] == layers[1]
    assert len(layers[0]) > 90
    assert sum(count for _, _, count, _ in layers[0]) == 41_133_018
    assert sum(count for _, _, count, trained in layers[0] if trained) == 19_865_370
