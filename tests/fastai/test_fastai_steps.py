"""One-cycle, rates by group and the optimizer's steps, against fastai's own in one run."""

import math
from functools import partial
from inspect import signature

import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import combined_cos
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import Adam
from fastai.torch_core import params
from fastai.vision.all import resnet34
from fastai.vision.learner import model_meta
from torch import nn

from lessonpipe.config import Slice
from lessonpipe.nets import Encoder, Unet, UnetConfig
from lessonpipe.train.schedule import AdamWConfig, OneCycle, adamw, layerwise_rates
from tests.fastai import peer

V2 = {"pct_start": 0.25, "end": 1e5}  # v2's constants; start and momenta are v1's


@pytest.mark.parametrize("pct_start", [0.3, 0.8, 0.9])
def test_rate_and_momentum_follow_fastai_v1s_formula_at_every_step(pct_start):
    steps, rise = 200, int(200 * pct_start)
    cycle = OneCycle(steps, pct_start)
    for step in range(steps):
        rate, momentum = cycle.at(step)
        if step < rise:
            t = (1 - math.cos(math.pi * step / rise)) / 2
            assert rate == pytest.approx(1 / 25 + (1 - 1 / 25) * t)
            assert momentum == pytest.approx(0.95 - 0.10 * t)
        else:
            t = (1 - math.cos(math.pi * (step - rise) / (steps - rise))) / 2
            assert rate == pytest.approx(1 + (1 / 25e4 - 1) * t)
            assert momentum == pytest.approx(0.85 + 0.10 * t)


@pytest.mark.parametrize("pct_start", [0.25, 0.3, 0.8, 0.9])
def test_with_v2s_end_rate_and_momentum_are_fastais_own_at_every_step(pct_start):
    steps = 200
    cycle = OneCycle(steps, pct_start, end=V2["end"])
    rates = combined_cos(pct_start, 1 / 25, 1.0, 1 / 1e5)
    momenta = combined_cos(pct_start, 0.95, 0.85, 0.95)
    for step in range(steps):
        assert cycle.at(step) == pytest.approx(
            (rates(step / steps), momenta(step / steps)), rel=1e-4
        )


class Hypers(Callback):
    """Records rate and momentum of every group at every step."""

    def before_fit(self):
        self.steps = []

    def before_step(self):
        self.steps.append([(hyper["lr"], hyper["mom"]) for hyper in self.opt.hypers])


def network() -> nn.Sequential:
    """Three groups, the first of which holds a batch norm."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(first, nn.Conv2d(4, 4, 3), nn.Conv2d(4, 3, 1))


def learner(net: nn.Module, steps: int, **options) -> Learner:
    torch.manual_seed(1)
    items = [(torch.randn(3, 6, 6), torch.randn(3, 2, 2)) for _ in range(2 * steps)]
    loader = DataLoader(items, bs=2, shuffle=False, num_workers=0)
    return Learner(
        DataLoaders(loader, loader, device=torch.device("cpu")),
        net,
        loss_func=nn.MSELoss(),
        opt_func=partial(Adam, eps=1e-5),
        splitter=lambda net: [params(part) for part in net],
        wd=0.1,
        wd_bn_bias=True,  # as v1: everything decays
        **options,
    )


@pytest.mark.parametrize(
    ("frozen", "theirs_lr", "ours_lr"),
    [
        (False, slice(1e-4, 1e-2), (1e-4, 1e-2)),
        (True, slice(1e-4, 1e-2), (1e-4, 1e-2)),
        (True, slice(1e-2), Slice(slice=1e-2)),
    ],
)
def test_a_run_of_one_cycle_ends_with_fastais_weights(frozen, theirs_lr, ours_lr):
    theirs, ours = network(), network()
    hypers = Hypers()
    learn = learner(theirs, 10, cbs=[hypers])
    if frozen:
        learn.freeze()
        for part in list(ours)[:2]:
            part.requires_grad_(False)
        ours[0][1].requires_grad_(True)  # the batch norm trains, as train_bn says
    batches = [(x.clone(), y.clone()) for x, y in learn.dls.train]
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, theirs_lr)
    optim = AdamWConfig(weight_decay=0.1, eps=1e-5)
    optimizer = adamw([list(part.parameters()) for part in ours], ours_lr, optim)
    cycle = OneCycle(20, **V2)
    for step, expected in zip(range(20), hypers.steps, strict=True):
        cycle.apply(optimizer, step)
        groups = [(g["lr"], g["betas"][0]) for g in optimizer.param_groups]
        other = [hyper for hyper, part in zip(expected, ours, strict=True) if trains(part)]
        for group, hyper in zip(groups, other, strict=True):
            assert group == pytest.approx(hyper, rel=1e-4)
        x, y = batches[step % 10]
        optimizer.zero_grad()
        nn.functional.mse_loss(ours(x), y).backward()
        optimizer.step()
    for our, their in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert peer.close(our.float(), their.float(), 1e-5)
    before = network()
    moved = [
        not torch.equal(p, old)
        for p, old in zip(ours.parameters(), before.parameters(), strict=True)
    ]
    assert moved == ([False, False, True, True, False, False, True, True] if frozen else [True] * 8)


def trains(part: nn.Module) -> bool:
    return any(p.requires_grad for p in part.parameters())


@pytest.mark.parametrize("eps", [1e-5, 1e-8])
@pytest.mark.parametrize("momentum", [0.95, 0.0])
def test_steps_with_decoupled_weight_decay_are_fastais(eps, momentum):
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(5, 4))
    theirs = nn.Parameter(ours.detach().clone())
    optimizer = adamw([[ours]], 1e-2, AdamWConfig(weight_decay=0.3, eps=eps, beta1=momentum))
    other = Adam([theirs], lr=1e-2, wd=0.3, eps=eps, mom=momentum, sqr_mom=0.99, decouple_wd=True)
    for _ in range(12):
        ours.grad = torch.randn(5, 4) * 1e-3
        theirs.grad = ours.grad.clone()
        optimizer.step()
        other.step()
        assert peer.close(ours, theirs, 1e-6)


def test_betas_and_epsilon_are_v1s_by_default():
    group = adamw([[nn.Parameter(torch.ones(1))]], 1e-3, AdamWConfig()).param_groups[0]
    assert group["betas"] == (0.95, 0.99) and group["eps"] == 1e-8
    assert signature(Adam).parameters["eps"].default == 1e-5  # v2's, larger than many gradients


def test_rates_are_spaced_over_the_unets_groups_as_fastai_spaces_a_slice():
    with torch.device("meta"):
        theirs, unet = peer.unet(), our_unet()
    split = model_meta[resnet34]["split"](theirs)
    other = Adam(split, lr=1e-3)
    other.set_hyper("lr", slice(1e-6, 1e-3))
    expected = [hyper["lr"] for hyper in other.hypers]
    assert layerwise_rates((1e-6, 1e-3), 3) == pytest.approx(expected)
    ours = adamw(unet.param_groups(), (1e-6, 1e-3), AdamWConfig())
    assert [g["max_lr"] for g in ours.param_groups] == pytest.approx(expected)
    assert [len(g["params"]) for g in ours.param_groups] == [len(params) for params in split]


def test_one_number_is_one_rate_for_all_groups_and_fastais_slice_of_one_a_tenth_for_the_first():
    other = Adam([[nn.Parameter(torch.ones(1))] for _ in range(3)], lr=1e-3)
    other.set_hyper("lr", slice(1e-2))
    assert [hyper["lr"] for hyper in other.hypers] == pytest.approx([1e-3, 1e-3, 1e-2])
    other.set_hyper("lr", 1e-2)
    assert layerwise_rates(1e-2, 3) == [hyper["lr"] for hyper in other.hypers]


def test_a_frozen_encoder_trains_the_batch_norms_that_fastais_does():
    with torch.device("meta"):
        theirs = peer.unet(12, norm="none")
        ours = our_unet(12, norm="none", blur=False, output="plain")
    learn = Learner(
        DataLoaders([], []), theirs, loss_func=nn.MSELoss(), splitter=model_meta[resnet34]["split"]
    )
    learn.freeze()
    ours.encoder.freeze(train_bn=True)
    expected = [p.requires_grad for p in theirs.parameters()]
    assert [p.requires_grad for p in ours.parameters()] == expected
    frozen = sum(p.numel() for p in ours.parameters() if not p.requires_grad)
    assert frozen == 21_267_648  # the encoder's convolutions


def our_unet(out_channels: int = 3, **options) -> Unet:
    encoder = Encoder("resnet34", pretrained=False)
    return Unet(encoder, UnetConfig(encoder="resnet34", **options), out_channels=out_channels)
