"""Networks that torch.compile compiles train as they do without, and are saved alike."""

import shutil

import pytest
import torch

from lessonpipe.config import Phase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.errors import UserError
from lessonpipe.io.storage import Storage
from lessonpipe.losses import DamageLoss, DamageLossConfig, PixelLoss
from lessonpipe.nets import Critic, CriticConfig, Generator
from lessonpipe.nets.io import load_generator, save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.gan import GanConfig, PairGanLearner
from lessonpipe.train.generator import GeneratorLearner
from lessonpipe.train.schedule import AdamWConfig
from tests.small import CPU, generator

LOSS = PixelLoss("mse", (0.5,) * 3, 50.0)
COMPILER = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


@pytest.fixture(autouse=True)
def compile_anew():
    yield
    torch.compiler.reset()


def small(**options) -> Generator:
    widths = [8, 8, 8]
    return generator(
        encoder="test_resnet", encoder_depth=4, widths=widths, norm="weight", **options
    )


def images(image_px: int) -> TensorData:
    """Six pairs in each split: a batch of four and a smaller one."""
    x, y = torch.rand(2, 6, 3, image_px, image_px, generator=torch.Generator().manual_seed(1))
    return TensorData((x, y), (x, y), 1, CPU)


class Growing:
    """Images of the phase's size."""

    def train_batches(self, phase):
        return images(phase.image_px).train_batches(phase)

    def valid_batches(self, phase):
        return images(phase.image_px).valid_batches(phase)


FROZEN = Phase(image_px=64, batch=4, epochs=2, max_lr=1e-3, frozen=True)
LARGER = Phase(image_px=96, batch=4, epochs=1, max_lr=1e-3)


def fitted(net: Generator, checkpoint: Checkpoint = Checkpoint(None), phases=(FROZEN, LARGER)):  # noqa: B008
    learner = GeneratorLearner(net, AdamWConfig(weight_decay=0), ema=0.9, loss=LOSS)
    return fit(learner, phases, Growing(), CPU, seed=1, checkpoint=checkpoint)


def fitted_once(net: Generator):
    """One size of images and of batches: g++ takes minutes for several."""
    return fitted(net, phases=[LARGER.model_copy(update={"batch": 3})])


def fitted_in_turns(net: Generator):
    torch.manual_seed(1)
    critic = Critic(CriticConfig(kind="lesson", width=8), pretrained=False)
    switch = {"kind": "fixed", "critic": 1, "generator": 1}
    config = GanConfig(optim={"weight_decay": 0, "beta1": 0}, switch=switch)
    learner = PairGanLearner(net, critic, config, loss=LOSS)
    return fit(learner, [FROZEN], Growing(), CPU, seed=0, checkpoint=Checkpoint(None))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "backend"),
    [
        (fitted_in_turns, "eager"),
        pytest.param(fitted_once, "1", marks=COMPILER),
    ],
)
def test_a_compiled_training_has_the_losses_of_one_that_is_not(
    train, backend, monkeypatch, tmp_path
):
    plain, net = small(), small()
    expected = train(plain)
    monkeypatch.setenv("LESSONPIPE_COMPILE", backend)
    torch._dynamo.utils.counters.clear()
    for row, other in zip(train(net), expected, strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 1
    assert type(net) is Generator and list(net.state_dict()) == list(plain.state_dict())
    save_model(tmp_path, net, {})
    loaded = load_generator(tmp_path)  # not compiled
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_training_resumes_where_a_plain_one_stopped_and_grows(monkeypatch, tmp_path):
    expected = fitted(small())
    checkpoint = Checkpoint(Storage.at(tmp_path))
    monkeypatch.setattr(Checkpoint, "save", stop_after_one(Checkpoint.save))
    with pytest.raises(KeyboardInterrupt):
        fitted(small(), checkpoint)
    monkeypatch.undo()
    monkeypatch.setenv("LESSONPIPE_COMPILE", "eager")
    rows = fitted(small(), checkpoint)
    assert len(rows) == 3
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-3)


def stop_after_one(save):
    def stop(self, state):
        save(self, state)
        if len(state["history"]) == 1:
            raise KeyboardInterrupt

    return stop


def test_a_network_with_a_mask_is_compiled_too_where_damage_counts_more(monkeypatch):
    monkeypatch.setenv("LESSONPIPE_COMPILE", "eager")
    torch._dynamo.utils.counters.clear()
    learner = GeneratorLearner(
        small(output="inpaint"),
        AdamWConfig(),
        loss=LOSS,
        damage_loss=DamageLoss(DamageLossConfig(pixel_weight=5, mask_weight=0.3), LOSS),
    )
    fit(learner, [LARGER], Growing(), CPU, seed=1, checkpoint=Checkpoint(None))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_an_unknown_backend_is_refused_with_the_right_names(monkeypatch):
    monkeypatch.setenv("LESSONPIPE_COMPILE", "warp")
    with pytest.raises(UserError, match=r"COMPILE backend is called 'warp'.*aot_eager.*inductor"):
        CPU.prepare(small())


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setenv("LESSONPIPE_COMPILE", "1")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler; install g\+\+"):
        CPU.prepare(small())


def test_nothing_is_compiled_unless_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("LESSONPIPE_COMPILE", raising=False)
    net = small()
    assert CPU.prepare(net) is net and net._compiled_call_impl is None
