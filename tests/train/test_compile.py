"""Networks that torch.compile compiles learn as they do without, and are kept alike."""

import shutil

import pytest
import torch

from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.errors import UserError
from lessonpipe.io.storage import Storage
from lessonpipe.losses import PixelLoss
from lessonpipe.nets import Critic, Generator
from lessonpipe.nets.io import load_generator, save_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import Phase, fit
from lessonpipe.train.gan import GanLearner, fit_turns
from lessonpipe.train.gan_switch import FixedSwitch
from lessonpipe.train.generator import GeneratorLearner

PLACE = Worker(torch.device("cpu"), torch.float32)
LOSS = PixelLoss("mse", (0.5,) * 3, 50.0)
COMPILER = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


@pytest.fixture(autouse=True)
def forget():
    """Each test compiles anew."""
    yield
    torch.compiler.reset()


def small() -> Generator:
    torch.manual_seed(0)
    return Generator("test_resnet", pretrained=False, widths=[8, 8, 8, 8], head=8, norm="weight")


def pictures(image_px: int) -> TensorData:
    """Six pairs: a batch of four and an odd one, on either side."""
    x, y = torch.rand(2, 6, 3, image_px, image_px, generator=torch.Generator().manual_seed(1))
    return TensorData((x, y), (x, y), 1, PLACE)


class Growing:
    """Pictures of the phase's size."""

    def train_batches(self, phase):
        return pictures(phase.image_px).train_batches(phase)

    def valid_batches(self, phase):
        return pictures(phase.image_px).valid_batches(phase)


FROZEN = Phase(image_px=64, batch=4, epochs=2, max_lr=1e-3, frozen=True)
GROWN = Phase(image_px=96, batch=4, epochs=1, max_lr=1e-3)


def fitted(net: Generator, checkpoint: Checkpoint = Checkpoint(None), phases=(FROZEN, GROWN)):  # noqa: B008
    learner = GeneratorLearner(net, LOSS)
    return fit(
        learner, phases, Growing(), PLACE, weight_decay=0.0, seed=1, ema=0.9, checkpoint=checkpoint
    )


def fitted_once(net: Generator):
    """One size of pictures and of batches: g++ takes minutes for several."""
    return fitted(net, phases=[GROWN.model_copy(update={"batch": 3})])


def taken_turns(net: Generator):
    torch.manual_seed(1)
    critic = Critic("lesson", pretrained=False, width=8)
    return fit_turns(
        GanLearner(net, critic, LOSS),
        FROZEN,
        Growing(),
        PLACE,
        critic_times=5,
        momentum=0.0,
        weight_decay=0.0,
        switch=FixedSwitch(1, 1),
        switch_eval=True,
        ema=0.0,
        seed=0,
        checkpoint=Checkpoint(None),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "backend"),
    [
        (fitted, "aot_eager"),
        (taken_turns, "aot_eager"),
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
    again = load_generator(tmp_path)  # nothing of it is compiled
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(again(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_training_goes_on_where_a_plain_one_stopped(monkeypatch, tmp_path):
    expected = fitted(small())
    kept = Checkpoint(Storage.at(tmp_path))
    monkeypatch.setattr(Checkpoint, "save", stop_after_two(Checkpoint.save))
    with pytest.raises(KeyboardInterrupt):
        fitted(small(), kept)
    monkeypatch.undo()
    monkeypatch.setenv("LESSONPIPE_COMPILE", "aot_eager")
    assert fitted(small(), kept)[-1] == pytest.approx(expected[-1], rel=1e-3)


def stop_after_two(save):
    def stop(self, state):
        save(self, state)
        if len(state["history"]) == 2:
            raise KeyboardInterrupt

    return stop


def test_a_wrong_backend_is_told_with_the_right_ones(monkeypatch):
    monkeypatch.setenv("LESSONPIPE_COMPILE", "warp")
    with pytest.raises(UserError, match=r"COMPILE backend is called 'warp'.*aot_eager.*inductor"):
        PLACE.prepare(small())


def test_without_a_compiler_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("LESSONPIPE_COMPILE", "1")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler; install g\+\+"):
        PLACE.prepare(small())


def test_nothing_is_compiled_unless_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("LESSONPIPE_COMPILE", raising=False)
    net = small()
    assert PLACE.prepare(net) is net and net._compiled_call_impl is None
