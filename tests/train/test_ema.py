"""EMA: the exponential moving average of a network's weights."""

import pytest
import torch
from torch import nn

from lessonpipe.config import TrainPhase
from lessonpipe.data.in_memory import TensorData
from lessonpipe.io.storage import Storage
from lessonpipe.train.callback import Callback
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.ema import EMA
from lessonpipe.train.fit import fit
from lessonpipe.train.learner import SupervisedLearner
from lessonpipe.train.schedule import AdamWConfig
from tests.small import CPU

PHASE = TrainPhase(batch=8, epochs=2, max_lr=0.1)


class Line(SupervisedLearner):
    """Fits a straight line, and records its slope before every step."""

    def __init__(self, ema):
        torch.manual_seed(0)
        super().__init__(nn.Linear(1, 1), AdamWConfig(weight_decay=0), ema)
        self.slopes = []

    def loss_terms(self, x, y):
        if self.net.training:
            self.slopes.append(float(self.net.weight.detach()))
        return {"mse": (self.net(x) - y).square().mean()}

    def validation_step(self, x, y):
        return self.loss_terms(x, y), {"slope": self.net.weight.detach().mean()}


class ColdLine(Line):
    """The same with an average that does not start short."""

    ema_warmup = False


def fitted(learner, *, folder=None, callback=None):
    x = torch.linspace(-1, 1, 32)[:, None]
    data = TensorData((x, 3 * x), (x, 3 * x), 1, CPU)
    checkpoint = Checkpoint(None if folder is None else Storage.at(folder))
    return fit(learner, [PHASE], data, CPU, seed=1, checkpoint=checkpoint, callback=callback)


def decay_at(step, decay, warmup):
    return min(decay, (1 + step) / (10 + step)) if warmup else decay


@pytest.mark.parametrize("warmup", [True, False])
def test_an_average_follows_the_formula(warmup):
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, expected := 1.0)
    ema = EMA(net, 0.9, warmup=warmup)
    for step in range(100):
        nn.init.constant_(net.weight, value := 2.0 + step % 3)
        ema.update(net)
        decay = decay_at(step, 0.9, warmup)
        expected = decay * expected + (1 - decay) * value
        with ema.applied_to(net):
            assert float(net.weight.detach()) == pytest.approx(expected, rel=1e-5)
        assert float(net.weight.detach()) == value


def test_buffers_are_averaged_and_counts_copied():
    net = nn.BatchNorm1d(1)
    ema = EMA(net, 0.9)
    net(torch.tensor([[0.0], [20.0]]))  # a mean of 10, of which the running mean takes a tenth
    net(torch.tensor([[0.0], [20.0]]))
    ema.update(net)
    with ema.applied_to(net):
        assert float(net.running_mean) == pytest.approx(0.1 * 1.9)
        assert int(net.num_batches_tracked) == 2


def test_with_warmup_an_average_soon_forgets_the_untrained_weights():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1000.0)
    ema = EMA(net, 0.999, warmup=True)
    nn.init.constant_(net.weight, 1.0)
    for _ in range(100):
        ema.update(net)
    with ema.applied_to(net):
        assert float(net.weight.detach()) == pytest.approx(1.0, abs=1e-3)


def test_without_a_decay_nothing_is_averaged():
    net = nn.Linear(1, 1)
    ema = EMA(net, 0.0)
    nn.init.constant_(net.weight, 5.0)
    ema.update(net)
    with ema.applied_to(net):
        assert float(net.weight.detach()) == 5.0
    assert ema.state_dict() == {}


@pytest.mark.parametrize("line", [Line, ColdLine])
def test_the_average_of_the_steps_is_validated_and_remains(line):
    learner, plain = line(ema=0.5), line(ema=0.0)
    history = fitted(learner)
    fitted(plain)
    last = float(plain.net.weight.detach())
    expected = learner.slopes[0]
    for step, slope in enumerate([*learner.slopes[1:], last]):
        decay = decay_at(step, 0.5, line.ema_warmup)
        expected = decay * expected + (1 - decay) * slope
    assert history[-1]["valid_slope"] == pytest.approx(expected, abs=1e-5)
    assert float(learner.net.weight.detach()) == pytest.approx(expected, abs=1e-5)
    assert learner.slopes == plain.slopes  # the average does not change the training
    assert abs(last - expected) > 1e-3


@pytest.mark.parametrize("line", [Line, ColdLine])
def test_fitting_in_two_halves_through_a_checkpoint_gives_the_average_of_one_go(line, tmp_path):
    one_go = line(ema=0.9)
    fitted(one_go)

    class Stop(Callback):
        def on_epoch_end(self, row):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(line(ema=0.9), folder=tmp_path, callback=Stop())
    resumed = line(ema=0.9)
    fitted(resumed, folder=tmp_path)
    assert len(resumed.slopes) == len(one_go.slopes) // 2
    assert torch.equal(resumed.net.weight, one_go.net.weight)
