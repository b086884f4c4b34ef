"""The mean of the weights of the last steps."""

import pytest
import torch
from torch import nn

from lessonpipe.data.in_memory import TensorData
from lessonpipe.device import Worker
from lessonpipe.io.storage import Storage
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.ema import EMA
from lessonpipe.train.fit import TrainPhase, fit

SCHEDULE = TrainPhase(batch=8, epochs=2, max_lr=0.1)


class Line:
    """Learns a straight line, and remembers what it was at every step."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Linear(1, 1)
        self.was = []

    def loss_terms(self, x, y):
        if self.net.training:
            self.was.append(float(self.net.weight.detach()))
        return {"mse": (self.net(x) - y).square().mean()}

    def validation_step(self, x, y):
        return self.loss_terms(x, y), {"slope": self.net.weight.detach().mean()}

    def param_groups(self):
        return [list(self.net.parameters())]

    def freeze(self, frozen):
        pass


def fitted(learner, *, ema, folder=None, report=lambda row: None):
    worker = Worker.current("fp32")
    x = torch.linspace(-1, 1, 32)[:, None]
    data = TensorData((x, 3 * x), (x, 3 * x), 1, worker)
    kept = Checkpoint(None if folder is None else Storage.at(folder))
    return fit(
        learner,
        [SCHEDULE],
        data,
        worker,
        weight_decay=0.0,
        seed=1,
        checkpoint=kept,
        ema=ema,
        report=report,
    )


def test_averaged_weights_follow_the_formula():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    mean = EMA(net, 0.9)
    nn.init.constant_(net.weight, 2.0)
    mean.update(net)
    with mean.applied_to(net):
        assert float(net.weight.detach()) == pytest.approx(0.9 * 1 + 0.1 * 2)
    assert float(net.weight.detach()) == 2.0


def test_a_network_that_started_from_nothing_soon_forgets_what_it_was():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1000.0)
    mean = EMA(net, 0.999)
    nn.init.constant_(net.weight, 1.0)
    for step in range(100):
        mean.update(net, step)
    with mean.applied_to(net):
        assert float(net.weight.detach()) == pytest.approx(1.0, abs=1e-3)


def test_what_is_validated_and_comes_out_is_the_mean_of_the_steps():
    learner = Line()
    history = fitted(learner, ema=0.5)
    plain = Line()
    fitted(plain, ema=0.0)
    last = float(plain.net.weight.detach())
    expected = learner.was[0]
    for step, weight in enumerate([*learner.was[1:], last]):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    assert history[-1]["valid_slope"] == pytest.approx(expected, abs=1e-5)
    assert float(learner.net.weight.detach()) == pytest.approx(expected, abs=1e-5)
    assert learner.was == plain.was  # training itself does not see the mean
    assert abs(last - expected) > 1e-3


def test_a_training_that_is_gone_on_with_ends_with_the_same_mean(tmp_path):
    whole = Line()
    fitted(whole, ema=0.9)

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(Line(), ema=0.9, folder=tmp_path, report=stop)
    again = Line()
    fitted(again, ema=0.9, folder=tmp_path)
    assert len(again.was) == len(whole.was) // 2
    assert torch.equal(again.net.weight, whole.net.weight)
