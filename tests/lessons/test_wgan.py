"""The WGAN of the bedrooms against fastai's: networks, losses, and training."""

from functools import partial

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.layers import NormType
from fastai.optimizer import Adam
from fastai.vision.gan import GANLearner, basic_critic, basic_generator
from torch import nn

from lessonpipe.config import TrainPhase
from lessonpipe.io.storage import Storage
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig
from lessons.bedrooms import wgan
from lessons.bedrooms.nets import NoiseGenerator, ScoreCritic
from tests.fastai import peer
from tests.small import CPU, Batches

AS_V1 = {"bn_1st": False}  # activation before batch norm


def count(net):
    return sum(p.numel() for p in net.parameters())


# --- networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("px", "noise", "features", "extra"), [(64, 100, 64, 1), (32, 7, 8, 0)])
def test_both_networks_have_fastais_parameters_and_shapes(px, noise, features, extra):
    theirs = basic_generator(px, 3, noise, features, extra)
    ours = NoiseGenerator(px, noise=noise, features=features, extra_layers=extra)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert ours(torch.randn(2, noise)).shape == theirs(torch.randn(2, noise)).shape
    for norm, kind in (("batch", NormType.Batch), ("none", None)):
        theirs = basic_critic(px, 3, features, extra, norm_type=kind)
        ours = ScoreCritic(px, features=features, extra_layers=extra, norm=norm)
        assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]


def test_the_lessons_networks_have_fastais_counts_of_parameters():
    assert count(NoiseGenerator()) == count(basic_generator(64, 3, 100, 64, 1)) == 3_613_696
    assert count(ScoreCritic()) == count(basic_critic(64, 3, 64, 1)) == 2_802_625


def test_both_networks_have_the_outputs_and_the_gradients_of_fastais():
    torch.manual_seed(0)
    theirs = peer.shake(basic_generator(64, 3, 100, 8, 1, **AS_V1))
    ours = NoiseGenerator(features=8)
    peer.copy_weights(theirs, ours)
    peer.assert_same(ours, theirs, torch.randn(4, 100))
    leaky = partial(nn.LeakyReLU, negative_slope=0.2)
    theirs = peer.shake(basic_critic(64, 3, 8, 1, act_cls=leaky, **AS_V1))
    critic = ScoreCritic(features=8)
    peer.copy_weights(theirs, critic)
    ours = nn.Sequential(critic, nn.Unflatten(0, (-1, 1)))
    peer.assert_same(ours, theirs, torch.rand(4, 3, 64, 64) * 2 - 1)


# --- losses ------------------------------------------------------------------------------------


class Linear(nn.Module):
    """A critic whose slope is known: its weights."""

    def __init__(self, slope):
        super().__init__()
        self.weight = nn.Parameter(slope)

    def forward(self, x):
        return x.flatten(1) @ self.weight


class Constant(nn.Module):
    """A generator of one constant image."""

    def __init__(self, value=0.5):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, noise):
        return self.value.expand(len(noise), 3, 4, 4)


def test_the_critics_loss_is_the_score_of_photos_minus_that_of_fakes_which_is_the_generators():
    torch.manual_seed(0)
    slope = torch.randn(48)
    learner = wgan.Wgan(Constant(), Linear(slope), gan_config(), clip=None)
    photos = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    terms = learner.critic_terms(torch.randn(5, 2), photos)
    real = ((photos.float() / 255 * 2 - 1).flatten(1) @ slope).mean()
    fake = 0.5 * slope.sum()
    torch.testing.assert_close(sum(terms.values()), real - fake)
    loss = sum(learner.generator_terms(torch.randn(5, 2), photos).values())
    torch.testing.assert_close(loss, fake)
    loss.backward()
    torch.testing.assert_close(learner.generator.value.grad, slope.sum())
    _, metrics = learner.validation_step(torch.randn(5, 2), photos)
    torch.testing.assert_close(metrics["estimate"], fake - real)


def test_the_penalty_and_its_gradient_are_the_formulas_on_a_linear_critic():
    torch.manual_seed(1)
    critic = Linear(torch.randn(48))
    real, fake = torch.randn(2, 6, 3, 4, 4)
    loss = wgan.gradient_penalty(critic, real, fake)
    w = critic.weight.detach()
    torch.testing.assert_close(loss.detach(), (w.norm() - 1) ** 2)
    loss.backward()
    torch.testing.assert_close(critic.weight.grad, 2 * (w.norm() - 1) * w / w.norm())


def test_the_penalty_is_of_points_between_photos_and_fakes():
    class Square(nn.Module):  # its slope at x is 2x: of length 2c√n where all pixels are c
        def forward(self, x):
            points.append(x.detach())
            return x.square().flatten(1).sum(1)

    points = []
    real, fake = torch.ones(50, 3, 4, 4), torch.full((50, 3, 4, 4), 3.0)
    loss = wgan.gradient_penalty(Square(), real, fake)
    at = points[0][:, 0, 0, 0]
    assert at.min() > 1 and at.max() < 3 and at.std() > 0.3  # a point of its own for each pair
    torch.testing.assert_close(loss.detach(), (2 * at * 48**0.5 - 1).square().mean())


def gan_config(eps=1e-8):
    return GanConfig(
        optim={"weight_decay": 0, "eps": eps, "beta1": 0},
        critic_lr_mult=1,
        switch={"kind": "fixed", "critic": 5, "generator": 1},
        switch_eval=False,
    )


def small(clip=0.01, penalty=None):
    torch.manual_seed(0)
    norm = "batch" if penalty is None else "none"
    nets = NoiseGenerator(32, noise=6, features=4), ScoreCritic(32, features=4, norm=norm)
    return wgan.Wgan(*nets, gan_config(), clip=clip, gp_weight=penalty)


def trained(learner, *, epochs=1, checkpoint=None, seed=3):
    rng = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=rng)
    return fit(
        learner,
        [TrainPhase(batch=8, epochs=epochs, max_lr=1e-2)],
        wgan.in_memory(photos[:16], photos[16:], 6, seed, CPU),
        CPU,
        seed=seed,
        checkpoint=checkpoint or Checkpoint(None),
    )


def test_after_every_step_of_the_critic_its_weights_are_within_the_clip(monkeypatch):
    learner, steps = small(), []
    original = learner.after_step

    def record(turn):
        original(turn)
        largest = max(float(p.detach().abs().max()) for p in learner.critic.parameters())
        steps.append((turn, largest))

    monkeypatch.setattr(learner, "after_step", record)
    trained(learner, epochs=4)
    assert [turn for turn, _ in steps] == (["critic"] * 5 + ["generator"]) * 1 + ["critic"] * 2
    assert all(largest <= 0.01 + 1e-9 for _, largest in steps)
    assert max(float(p.detach().abs().max()) for p in learner.generator.parameters()) > 0.01


def test_a_penalty_instead_of_clipping_leaves_weights_large_and_moves_them():
    learner = small(clip=None, penalty=10.0)
    before = [p.detach().clone() for p in learner.critic.parameters()]
    row = trained(learner, epochs=3)[-1]
    assert max(float(p.detach().abs().max()) for p in learner.critic.parameters()) > 0.1
    moved = [not p.equal(b) for p, b in zip(learner.critic.parameters(), before, strict=True)]
    assert sum(moved) >= len(moved) - 1  # the last bias is in no difference of scores
    assert np.isfinite(row["valid_estimate"])


class OneOptimizerEach(Callback):
    """v2 has one for both, which would go on with the network whose turn it is not."""

    order = 100

    def after_batch(self):
        for parameter in self.model.parameters():
            parameter.grad = None


def test_twelve_turns_end_with_the_weights_of_fastais_wgan():
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    batches = [
        (
            torch.randn(4, 6, generator=rng),
            torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=rng),
        )
        for _ in range(12)
    ]
    leaky = partial(nn.LeakyReLU, negative_slope=0.2)
    theirs = (
        basic_generator(32, 3, 6, 4, 1, **AS_V1),
        basic_critic(32, 3, 4, 1, act_cls=leaky, **AS_V1),
    )
    ours = small()
    for their, our in zip(theirs, (ours.generator, ours.critic), strict=True):
        peer.copy_weights(their, our)
    pairs = [(a, b) for x, y in batches for a, b in zip(x, wgan.signed(y), strict=True)]
    loader = DataLoader(pairs, bs=4, num_workers=0)
    learn = GANLearner.wgan(
        DataLoaders(loader, loader, device=torch.device("cpu")),
        *theirs,
        clip=0.01,
        show_img=False,
        cbs=OneOptimizerEach(),
        opt_func=partial(Adam, mom=0.0, sqr_mom=0.99, eps=1e-5),
        wd=0.0,
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    ours = wgan.Wgan(ours.generator, ours.critic, gan_config(eps=1e-5), clip=0.01)
    phase = TrainPhase(batch=4, epochs=1, max_lr=1e-3)
    row = fit(ours, [phase], Batches(batches), CPU, seed=1, checkpoint=Checkpoint(None))[0]
    assert (row["critic_steps"], row["generator_steps"]) == (10, 2)
    for their, our in zip(theirs, (ours.generator, ours.critic), strict=True):
        for a, b in zip(our.parameters(), their.parameters(), strict=True):
            assert peer.close(a, b, 1e-3)


def test_an_interrupted_training_resumes_to_the_same_bytes(tmp_path):
    expected, first, resumed = small(), small(), small()
    trained(expected, epochs=4)
    checkpoint = Checkpoint(Storage.at(tmp_path))
    trained(first, epochs=2, checkpoint=checkpoint)
    trained(resumed, epochs=4, checkpoint=checkpoint)
    nets = ((expected.generator, resumed.generator), (expected.critic, resumed.critic))
    for a, b in nets:
        assert all(v.equal(b.state_dict()[k]) for k, v in a.state_dict().items())


# --- noise and flips ---------------------------------------------------------------------------


def test_noise_and_flips_depend_on_the_seed_and_the_step():
    photos = torch.arange(2 * 3 * 2 * 2, dtype=torch.uint8).view(2, 3, 2, 2).repeat(32, 1, 1, 1)

    def epoch(number, seed=1, flip=True):
        data = wgan.in_memory(photos, photos, 5, seed, CPU, flip=flip)
        return list(data.train_batches(TrainPhase(batch=32, epochs=1, max_lr=1)).epoch(number))

    for (x, y, _), (again, same, _) in zip(epoch(0), epoch(0), strict=True):
        assert x.equal(again) and y.equal(same) and x.shape == (32, 5)
    assert not epoch(0)[0][0].equal(epoch(0)[1][0])
    assert not epoch(0)[0][0].equal(epoch(1)[0][0])
    assert not epoch(0)[0][0].equal(epoch(0, seed=2)[0][0])
    mirrored = sum(int(p[0, 0, 0] > p[0, 0, 1]) for _, y, _ in epoch(0) for p in y)
    assert 16 < mirrored < 48
    assert not any(p[0, 0, 0] > p[0, 0, 1] for _, y, _ in epoch(0, flip=False) for p in y)
    assert wgan.sample_noise(3, 5, 1).equal(wgan.sample_noise(3, 5, 1))


def test_bytes_survive_the_way_to_the_networks_units_and_back():
    values = torch.arange(256, dtype=torch.uint8)
    signed = wgan.signed(values)
    assert float(signed.min()) == -1 and float(signed.max()) == 1
    assert wgan.as_bytes(signed).equal(values)


def test_samples_leave_the_generator_in_the_mode_it_was_in():
    net = NoiseGenerator(32, noise=6, features=4).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    images = wgan.samples(net, wgan.sample_noise(5, 6, 0), batch=2)
    assert images.shape == (5, 3, 32, 32) and images.dtype == torch.uint8 and net.training
    assert all(v.equal(before[k]) for k, v in net.state_dict().items())
