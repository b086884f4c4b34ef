"""Our U-Net and fastai's, part by part and as a whole."""

import pytest
import torch
from fastai.callback.hook import Hooks
from fastai.layers import (
    ConvLayer,
    PixelShuffle_ICNR,
    ResBlock,
    SelfAttention,
    flatten_model,
    icnr_init,
)
from fastai.vision.all import create_body, resnet34
from fastai.vision.learner import model_meta
from fastai.vision.models.unet import DynamicUnet
from lessonpipe.nets.summary import lesson_unet, rows
from torch import nn

from lessonpipe.nets import Encoder, Unet, blocks
from tests.fastai import peer

CAMVID = {"norm": "none", "blur": False, "out_channels": 12, "output": "plain"}
# Ours by its options, fastai's by its own.
FORMS = {
    "generator": (
        {"attention": True},
        {"blur": True, "self_attention": True, "y_range": (-3.0, 3.0)},
    ),
    "feature-loss generator": ({}, {"blur": True, "y_range": (-3.0, 3.0)}),
    "camvid": (CAMVID, {"n_out": 12, "norm": "none"}),
    "camvid with bottleneck": (
        {**CAMVID, "bottleneck": True},
        {"n_out": 12, "norm": "none", "bottleneck": True},
    ),
}
COUNTS = (41_413_534, 41_229_213, 41_222_168, 41_133_018)


def pair(form: str) -> tuple[Unet, nn.Module]:
    torch.manual_seed(1)
    ours, theirs = FORMS[form]
    their_net = peer.shake(peer.unet(**theirs))
    our_net = Unet(Encoder("resnet34", pretrained=False), **ours)
    peer.give(their_net, our_net)
    return our_net, their_net


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(2)).double()


@pytest.mark.parametrize(("form", "parameters"), list(zip(FORMS, COUNTS, strict=True)))
def test_the_unet_has_the_parameters_of_fastais_and_answers_alike(form, parameters):
    ours, theirs = pair(form)
    for net in (ours, theirs):
        assert sum(p.numel() for p in net.parameters()) == parameters
    peer.same(ours.eval(), theirs.eval(), picture(64, 64))


@pytest.mark.parametrize("form", ["generator", "camvid"])
def test_the_unet_trains_like_fastais_with_the_same_weights(form):
    ours, theirs = pair(form)
    peer.same(ours.train(), theirs.train(), picture(64, 96))


@pytest.mark.parametrize("size", [(65, 97), (33, 120)])
def test_the_unet_answers_like_fastais_in_odd_sizes(size):
    ours, theirs = pair("generator")
    with torch.no_grad():
        answers = ours.eval()(picture(*size)), theirs.eval()(picture(*size))
    assert answers[0].shape == (2, 3, *size)
    assert peer.close(*answers)


def test_the_unet_taps_where_fastai_does_and_agrees_after_every_block():
    ours, theirs = pair("generator")
    x = picture(64, 64)
    our_steps = [ours.middle, *ours.blocks, ours.up, ours.last, ours.answer]
    up = next(m for m in reversed(theirs.layers) if isinstance(m, PixelShuffle_ICNR))
    last, answer = theirs.layers[-4:-2]
    their_steps = [*theirs.layers[3:8], up, last, answer]

    def note(module, given, answer):
        return answer.detach().clone()

    with torch.no_grad(), Hooks(our_steps, note) as our_hooks, Hooks(their_steps, note) as others:
        ours.eval()(x)
        theirs.eval()(x)
        *taps, deep = ours.encoder(x)
        assert peer.close(deep, theirs.layers[0](x))
    assert [t.shape[1:] for t in taps] == [(64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)]
    for tap, stored in zip(reversed(taps), theirs.sfs.stored, strict=True):
        assert peer.close(tap, stored)
    assert len(our_hooks.stored) == 8
    for step, other in zip(our_hooks.stored, others.stored, strict=True):
        assert peer.close(step, other)


def test_the_groups_of_the_unet_are_fastais():
    ours, theirs = pair("generator")
    for mine, other in zip(ours.param_groups(), model_meta[resnet34]["split"](theirs), strict=True):
        assert [p.shape for p in mine] == [p.shape for p in other]


@pytest.mark.parametrize("norm", ["none", "weight"])
@pytest.mark.parametrize("blur", [False, True])
def test_sub_pixels_start_and_grow_like_fastais(norm, blur):
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
    peer.give(theirs.double(), ours)
    peer.same(ours, theirs, torch.randn(2, 16, 5, 7))


def test_attention_looks_like_fastais():
    torch.manual_seed(0)
    theirs = peer.shake(SelfAttention(32))
    ours = blocks.SelfAttention(32)
    assert ours.gamma.item() == 0
    peer.give(theirs, ours)
    for mode in (True, False):
        peer.same(ours.train(mode), theirs.train(mode), torch.randn(2, 32, 6, 5))


def test_batch_norm_comes_after_the_activation_as_in_v1_where_v2_puts_it_before():
    theirs = peer.shake(ConvLayer(3, 8, bn_1st=False))
    ours = blocks.conv(3, 8)
    peer.give(theirs, ours)
    x = torch.randn(2, 3, 9, 9).double()
    peer.same(ours, theirs, x)
    new = ConvLayer(3, 8)  # v2 as it comes
    peer.give(theirs, new)
    assert not peer.close(ours(x), new(x))


def test_the_last_block_is_v1s_which_adds_after_the_activation_where_v2_adds_before_it():
    ours = blocks.ResBlock(8, norm="none")
    theirs = ResBlock(1, 8, 8, norm_type=None)
    peer.give(theirs, ours)
    x = torch.randn(2, 8, 6, 6)
    first, second = (theirs.convpath[i][0] for i in (0, 1))
    assert peer.close(ours(x), x + second(first(x).relu()).relu())
    assert peer.close(theirs(x), (x + second(first(x).relu())).relu())


def test_v2s_bottleneck_narrows_the_answer_and_ours_keeps_the_width_as_v1():
    x = torch.randn(1, 99, 4, 4)
    assert ResBlock(1, 99, 49, norm_type=None)(x).shape[1] == 49
    assert blocks.ResBlock(99, bottleneck=True, norm="none")(x).shape[1] == 99
    body = create_body(resnet34(), n_in=3, pretrained=False)
    narrow = DynamicUnet(body, 12, (64, 64), norm_type=None, bottle=True)
    assert sum(p.numel() for p in narrow.parameters()) == 41_115_867
    with pytest.raises(RuntimeError, match="99 channels"):  # its last layer expects the width
        narrow(picture(64, 64).float())


def test_the_summary_of_the_lessons_unet_has_fastais_layers_shapes_and_counts():
    theirs = peer.unet(**FORMS["camvid with bottleneck"][1]).to("meta").eval()
    for parameters in model_meta[resnet34]["split"](theirs)[:2]:
        for parameter in parameters:
            parameter.requires_grad_(False)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # as fastai's train_bn does
            module.requires_grad_(True)

    def note(module, given, answer):
        mine = list(module.parameters())
        trains = any(p.requires_grad for p in mine)
        count = sum(p.numel() for p in mine)
        return type(module).__name__, tuple(answer.shape[1:]), count, trains

    with Hooks(flatten_model(theirs), note) as hooks:
        theirs(torch.empty(1, 3, 360, 480, device="meta"))
    expected = [row for row in hooks.stored if (row and row[2]) or row[0] == "PixelShuffle"]
    ours = [(r.layer, r.shape, r.parameters, r.trains) for r in rows(lesson_unet(), (360, 480))]
    assert [row for row in ours if row[2] or row[0] == "PixelShuffle"] == expected
    assert len(expected) > 90
    assert sum(row[2] for row in expected) == 41_133_018
    assert sum(row[2] for row in expected if row[3]) == 19_865_370
