"""Training rates of the sample's generator and the lesson's, in each precision and compiled."""

import os
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import yaml

from lessonpipe.config import TrainPhase
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import read_json, write_json
from lessonpipe.losses import image_loss
from lessonpipe.nets import Generator, UnetConfig
from lessonpipe.train.generator import GeneratorLearner
from tests.bench.ours import pictures
from tests.conftest import ROOT
from tests.forked import Forked
from tests.gpu_check.check import Case, Check, Result
from tests.small import unet_config

PX, BATCH = 128, 32
WARM, STEPS = 4, 20


def nets(tiny: bool) -> dict[str, UnetConfig]:
    """The networks by name."""
    if tiny:
        return {"the sample's net": unet_config(), "the lesson's net": unet_config(norm="weight")}
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    return {
        "the sample's net": UnetConfig(**params["pretrain_generator"]["net"]),
        "the lesson's net": UnetConfig(encoder="resnet34", norm="weight", attention=True),
    }


def measure(config: UnetConfig, precision: Precision, check: Check) -> Result:
    """Time steps in which everything learns, after some that do not count."""
    worker = Worker.current(precision)
    px, batch, warm, steps = (64, 2, 1, 2) if check.tiny else (PX, BATCH, WARM, STEPS)
    net = Generator(config, pretrained=False)
    loss = worker.to_device(image_loss(None, "mse", net.encoder.std))
    learner = GeneratorLearner(net, loss=loss, train_bn=True)
    learner.prepare(worker)
    learner.start_phase(TrainPhase(batch=batch, epochs=1, max_lr=1e-4), warm + steps)
    learner.start_epoch()
    x, y = (worker.batch_to_device(v) for v in pictures(batch, px))
    times = [check.wait()]
    for step in range(warm + steps):
        terms = learner.train_step(x, y, 1.0, step).terms
        times.append(check.wait())
    seconds = statistics.median(b - a for a, b in pairwise(times[warm:]))
    value = float(sum(terms.values()).detach())
    cuda = check.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    text = (
        f"{seconds * 1000:.1f} ms a step, {batch / seconds:.0f} pictures/s, {batch} of {px} px, "
        f"{memory:.1f} GiB, first step {times[1] - times[0]:.1f} s"
    )
    values = {"step_ms": seconds * 1000, "pictures_s": batch / seconds, "memory_gib": memory}
    return Result(text, values | {"batch": batch, "px": px}, value == value)


def cases(check: Check) -> Iterator[Case]:
    """Both networks in both precisions."""
    for name, config in nets(check.tiny).items():
        for precision in ("fp32", "bf16"):
            if check.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            yield f"{name}, {precision}", partial(measure, config, precision, check)


def compiled_cases(check: Check) -> Iterator[Case]:
    """Both in bf16 and compiled, each in a process that is ended with the minutes."""
    found = list(nets(check.tiny).items())
    for name, config in found[:1] if check.tiny else found:
        yield f"{name}, bf16, compiled", partial(_in_process, config, check)


def _in_process(config: UnetConfig, check: Check) -> Result:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {
            "LESSONPIPE_COMPILE": "eager" if check.tiny else "1",
            "LESSONPIPE_DEVICE": os.environ["LESSONPIPE_DEVICE"],
        }
        out = folder / "result.json"
        child = Forked(folder, "compiled", _measure_into, out, config, check, **env)
        child.process.join(max(1.0, check.left))
        if child.process.is_alive():
            child.kill()
            raise TimeoutError("compiling took too long")
        if child.process.exitcode:
            raise RuntimeError(child.text().strip().splitlines()[-1])
        return Result(**read_json(out))


def _measure_into(out: Path, config: UnetConfig, check: Check) -> None:
    write_json(out, vars(measure(config, "bf16", check)))
