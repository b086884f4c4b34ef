"""The generator's network; tests/fastai compares it with fastai's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lessonpipe.errors import UserError
from lessonpipe.nets import Encoder, Generator, Unet, UnetConfig
from lessonpipe.nets.blocks import PixelShuffleUp, SelfAttention, conv, upsampling
from lessonpipe.nets.generator import fold_weight_norm
from tests.small import generator


def small(**options: object) -> Generator:
    return generator(**options).eval()


DECODERS = [
    {},
    {"upsample": "nearest", "norm": "weight"},
    {"upsample": "bilinear", "norm": "batch"},
    {"upsample": "transposed", "norm": "none"},
    {"upsample": "transposed", "norm": "weight"},
    {"upsample": "transposed", "norm": "batch"},
    {"upsample": "transposed", "norm": "spectral"},
    {"dense": True},
    {"dense": True, "widths": None, "attention": True, "concat": "after"},
    {"skips": False, "last_cross": False},
    {"skips": False, "widths": None, "concat": "after"},
    {"output": "inpaint"},
]


@pytest.mark.parametrize("options", DECODERS, ids=str)
def test_every_decoder_takes_odd_sizes_learns_as_a_whole_and_is_built_again_of_its_config(options):
    net = generator(**{"output": "range", **options})
    x = torch.rand(1, 3, 65, 97)
    net(x).square().mean().backward()
    assert all(p.grad is not None for p in net.unet.param_groups()[2])
    again = Generator(UnetConfig(**net.config.model_dump(mode="json")), pretrained=False)
    again.load_state_dict(net.state_dict())
    y = net.eval()(x)
    assert y.shape == x.shape and torch.equal(again.eval()(x), y)
    torch.testing.assert_close(fold_weight_norm(again)(x), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (33, 120)])
def test_outputs_have_the_size_of_inputs_even_an_odd_one(size):
    assert small()(torch.rand(1, 3, *size)).shape == (1, 3, *size)


def test_without_skips_and_the_input_the_coarsest_features_are_all_that_a_decoder_sees():
    for options, seen in (({"last_cross": False, "skips": False}, False), ({}, True)):
        net = small(output="plain", **options)
        x = torch.rand(1, 3, 64, 64)
        *fine, deep = net.encoder(net.normalize(x))
        net.unet.encoder.forward = lambda _, deep=deep, fine=fine: [
            *map(torch.ones_like, fine),
            deep,
        ]
        assert torch.equal(net(x), net(1 - x)) != seen  # no pixel comes by another way
        net.unet.encoder.forward = lambda _, deep=deep, fine=fine: [
            *map(torch.zeros_like, fine),
            deep,
        ]
        other = net(x)
        net.unet.encoder.forward = lambda _, deep=deep, fine=fine: [*fine, deep]
        assert torch.equal(net(x), other) != seen


def test_ways_to_double_a_grid_are_those_of_their_formulas():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 7)
    options = {"blur": True, "norm": "none", "icnr": True}  # blur and ICNR are the shuffle's alone
    for mode, align in (("nearest", None), ("bilinear", False)):
        net = upsampling(mode, 3, 4, **options)
        weight = net[1][0].weight
        large = F.interpolate(x, size=(10, 14), mode=mode, align_corners=align)
        torch.testing.assert_close(net(x), F.conv2d(large, weight, padding=1).relu())
    net = upsampling("transposed", 3, 4, **options)
    spread = torch.zeros(2, 3, 9, 13)  # a pixel, a zero, a pixel: stride one half
    spread[..., ::2, ::2] = x
    weight = net[0].weight.transpose(0, 1).flip(2, 3)
    torch.testing.assert_close(net(x), F.conv2d(spread, weight, padding=2).relu())


def test_a_transposed_convolution_keeps_the_variance_as_kaiming_means_it():
    torch.manual_seed(0)
    net = upsampling("transposed", 64, 256, blur=False, norm="none", icnr=False)
    y = net[0](torch.randn(4, 64, 16, 16))[..., 2:-2, 2:-2]
    assert y.var().item() == pytest.approx(2, rel=0.05)


def test_dense_blocks_hand_on_what_they_were_given_and_keep_the_widths():
    plain, dense = small().unet, small(dense=True).unet
    assert plain.last.body[0][0].in_channels == dense.last.body[0][0].in_channels
    block = dense.blocks[0]
    deep = torch.randn(1, block.upsample[0][0].in_channels, 2, 2)
    skip = torch.randn(1, block.skip_norm.num_features, 4, 4)
    first = block.conv1(F.relu(torch.cat([block.upsample(deep), block.skip_norm(skip)], 1)))
    assert torch.equal(block(deep, skip)[:, first.shape[1] :], first)
    with pytest.raises(ValueError, match="residual or dense"):
        UnetConfig(encoder="test_efficientnet", residual=True, dense=True)


def test_an_untrained_correction_is_the_identity():
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(small(output="correction")(x), x, atol=1e-6)


def test_an_untrained_inpainting_is_nearly_the_identity_and_fills_what_its_mask_covers():
    net = small(output="inpaint")
    x = torch.full((1, 3, 64, 64), 0.5)
    x[..., 30:33, :] = 1.0
    assert (net(x) - x).abs().max() < 0.02
    rows = torch.where(torch.arange(64).sub(31).abs() < 2, 20.0, -20.0)
    mask = rows.view(1, 1, 64, 1).expand(1, 1, 64, 64)
    net.unet.output.forward = lambda _: torch.cat([torch.zeros(1, 3, 64, 64), mask], dim=1)
    output, logits = net(x, with_mask=True)
    assert logits.shape == (1, 1, 64, 64)
    assert (output - 0.5).abs().max() < 0.01


def test_outputs_stay_in_their_range():
    net = small(output="range", y_range=(-1.0, 1.0))
    y = net.normalize(net(torch.rand(2, 3, 64, 64) * 100))
    assert y.min() >= -1.001
    assert y.max() <= 1.001


def test_sub_pixels_start_equal_so_that_there_is_no_checkerboard():
    for norm in ("none", "weight"):
        up = PixelShuffleUp(8, 4, blur=False, norm=norm)  # type: ignore[arg-type]
        y = up(torch.randn(1, 8, 5, 5))
        assert torch.allclose(y[..., ::2, ::2], y[..., 1::2, 1::2], atol=1e-5)


def test_attention_starts_as_the_identity_and_then_attends_to_every_pixel():
    layer = SelfAttention(16).eval()
    x = torch.randn(1, 16, 6, 6, requires_grad=True)
    assert torch.equal(layer(x), x)
    nn.init.ones_(layer.gamma)
    layer(x)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(1) > 0).all()  # one pixel depends on all pixels


def test_a_frozen_encoder_gets_no_gradients_and_keeps_its_statistics():
    net = small()
    net.encoder.freeze()
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    net.train()
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is None for p in net.encoder.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.encoder.state_dict().items())
    net.encoder.freeze(False, train_bn=True)
    net.train()
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert any(p.grad is not None for p in net.encoder.parameters())


def test_frozen_batch_norms_can_train_as_in_the_lesson():
    net = small()
    net.encoder.freeze(train_bn=True)
    net.train()
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    trained = [n for n, p in net.encoder.named_parameters() if p.grad is not None]
    assert trained
    assert all("bn" in name for name in trained)


def test_a_free_encoder_can_keep_its_statistics():
    net = small()
    net.encoder.freeze(False)
    net.train()
    before = {k: v.clone() for k, v in net.encoder.state_dict().items() if "running" in k}
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None for p in net.encoder.parameters())
    assert all(torch.equal(net.encoder.state_dict()[k], v) for k, v in before.items())


@pytest.mark.parametrize("train_bn", [False, True])
def test_of_an_early_frozen_encoder_only_what_follows_the_features_at_an_eighth_trains(train_bn):
    net = small()
    net.encoder.freeze("early", train_bn=train_bn)
    net.train()
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    early, late = net.encoder.param_groups()
    norms = {id(p) for n, p in net.encoder.named_parameters() if "bn" in n}
    assert any(id(p) not in norms for p in early)
    assert all((p.grad is not None) == (train_bn and id(p) in norms) for p in early)
    assert late and all(p.grad is not None for p in late)
    features = net.encoder(torch.rand(1, 3, 64, 64))
    assert [x.requires_grad for x in features] == [train_bn] * 3 + [True] * 2
    net.encoder.freeze(False)
    assert all(p.requires_grad for p in net.encoder.parameters())


def test_the_three_groups_hold_every_parameter_once():
    with torch.device("meta"):
        resnet34 = Encoder("resnet34", pretrained=False)
        lesson = Unet(resnet34, UnetConfig(encoder="resnet34"))
    for net in (lesson, small().unet):
        groups = net.param_groups()
        ids = [id(p) for group in groups for p in group]
        assert len(groups) == 3
        assert len(ids) == len(set(ids)) == len(list(net.parameters()))
    early, late = resnet34.param_groups()
    assert [sum(p.numel() for p in g) for g in (early, late)] == [1_347_904, 19_936_768]


def test_folding_weight_norm_changes_no_output():
    net = small(norm="weight", output="range")
    x = torch.rand(1, 3, 64, 64)
    before = net(x)
    assert torch.allclose(fold_weight_norm(net)(x), before, atol=1e-5)


def test_an_unknown_encoder_is_refused_with_names_that_exist():
    with pytest.raises(UserError, match="resnet34"):
        Encoder("resnet_thirtyfour", pretrained=False)


def test_packaged_weights_recognise_a_cat():
    import timm
    from skimage import data

    from lessonpipe.nets import pretrained

    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = pretrained._find("tf_efficientnet_lite0")
    assert state is not None
    net.load_state_dict(dict(state))
    cat = torch.from_numpy(data.chelsea().copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    cat = nn.functional.interpolate(cat, (224, 224), mode="bilinear", antialias=True)
    assert int(net.eval()(cat).argmax()) in range(281, 286)  # ImageNet's five domestic cats


def test_attention_equals_its_formula_at_once_and_in_parts():
    torch.manual_seed(0)
    layer = SelfAttention(16).eval().requires_grad_(False)
    layer.gamma.fill_(0.7)
    for height, width in ((5, 7), (40, 41)):  # 1640 pixels go in two parts
        x = torch.randn(2, 16, height, width)
        flat = x.flatten(2)
        query, key, value = layer.query(flat), layer.key(flat), layer.value(flat)
        weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=1)  # over the query axis
        expected = (0.7 * torch.bmm(value, weights) + flat).view_as(x)
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_stay_last_through_the_whole_network(dtype):
    net = generator(encoder="test_resnet", norm="weight", attention=True)
    net = net.to(memory_format=torch.channels_last)
    leaks: list[nn.Module] = []

    def check(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4:
            last = output.is_contiguous(memory_format=torch.channels_last)
            leaks.extend([] if last else [module])

    for name, module in net.named_modules():
        if "parametrizations" not in name:  # weights, not images
            module.register_forward_hook(check)
    x = torch.rand(2, 3, 64, 64).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        net(x)
    assert leaks == []


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_spectral_convolution_is_torchs_own(training, bias):
    torch.manual_seed(0)
    fast = conv(6, 10, 4, stride=2, padding=1, bias=bias, norm="spectral", act=False)
    slow = nn.Sequential(spectral_norm(nn.Conv2d(6, 10, 4, 2, 1, bias=bias)))
    slow.load_state_dict(fast.state_dict())
    x = torch.randn(2, 6, 12, 12)
    outputs, grads = [], []
    for net in (fast.train(training), slow.train(training)):
        for _ in range(2):
            net.zero_grad()
            y = net(x)
            y.square().sum().backward()
        outputs.append(y.detach())
        grads.append([p.grad for p in net.parameters()])
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)
    for key, value in slow.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[key], value)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_resnet", "mobilenetv3_small_050"])
def test_an_encoder_that_stops_earlier_has_the_same_features_and_no_layer_after_them(name):
    torch.manual_seed(0)
    whole = Encoder(name, pretrained=False).eval()
    cut = Encoder(name, pretrained=False, depth=4).eval()
    shared = {k: v for k, v in whole.state_dict().items() if k in cut.state_dict()}
    cut.load_state_dict(shared)
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for mine, its in zip(cut(x), whole(x), strict=False):
            assert torch.equal(mine, its)
    assert cut.reductions == whole.reductions[:4] == [2, 4, 8, 16]
    last = sum(1 for p in cut(x)[-1].sum().backward() or cut.parameters() if p.grad is None)
    assert last == 0  # every weight that is left has a part in the last feature


def test_a_shallow_encoder_makes_a_smaller_generator_with_a_finer_grid():
    deep = small(encoder="test_efficientnet", widths=[8, 8, 8, 8])
    shallow = small(encoder="test_efficientnet", widths=[8, 8, 8], encoder_depth=4)
    assert (deep.grid, shallow.grid) == (32, 16)
    assert shallow(torch.rand(1, 3, 80, 48)).shape == (1, 3, 80, 48)
    count = [sum(p.numel() for p in net.parameters()) for net in (deep, shallow)]
    assert count[1] < count[0]
    with pytest.raises(ValueError, match="widths needs 3 numbers"):
        small(encoder="test_efficientnet", widths=[8, 8, 8, 8], encoder_depth=4)
