"""How soon our sample network is as good as fastai's after some minutes, on the same pairs.

fastai's U-Net gets the encoder, with its ImageNet weights, that ours has, pairs that are decoded
and in memory, and the lesson's schedule: two fifths of its time frozen, then spread rates. The
time of its validation does not count; that of ours does.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from fastai.basics import Callback, DataLoader, DataLoaders, L, Learner, params
from fastai.layers import NormType
from fastai.losses import MSELossFlat
from fastai.vision.models.unet import DynamicUnet
from torch import Tensor, nn

from lessonpipe.config import Phase
from lessonpipe.data.pairs import Pairs, eval_batches
from lessonpipe.metrics import psnr
from lessonpipe.nets.pretrained import create_features
from lessonpipe.train import callback
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from tasks import pretrain_generator
from tasks.pipeline.params import load
from tests.bench import theirs
from tests.bench.rounds import OURS, Row
from tests.small import CPU

ENCODER, MEAN, STD = "tf_efficientnet_lite0", 0.5, 0.5
BATCH, IMAGE_PX = 8, 128


class Endless:
    """So many training pairs, flipped at random, normalised: again from the start at the end."""

    def __init__(self, pairs: Pairs, count: int) -> None:
        self.pairs, self.count = pairs, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pair = [(v.float() / 255 - MEAN) / STD for v in self.pairs[index % len(self.pairs)]]
        x, y = (v.flip(-1) for v in pair) if torch.rand(()) < 0.5 else pair
        return x, y


class Tuned(Callback):
    """bf16 and channels last."""

    def before_batch(self) -> None:
        self.learn.xb = tuple(theirs.put(v, True) for v in self.xb)
        self.scope = theirs.autocast(True)
        self.scope.__enter__()

    def after_loss(self) -> None:
        self.scope.__exit__(None, None, None)


def network() -> nn.Module:
    """fastai's U-Net with the lesson's options on the encoder."""
    net = create_features(ENCODER, pretrained=True)
    body = nn.Sequential(net.conv_stem, net.bn1, *net.blocks)
    return DynamicUnet(
        body,
        3,
        (IMAGE_PX, IMAGE_PX),
        blur=True,
        self_attention=True,
        norm_type=NormType.Weight,
        y_range=(-3.0, 3.0),
    )


def _learner(model: nn.Module, pairs: Pairs, steps: int, tuned: bool) -> Learner:
    loader = DataLoader(Endless(pairs, steps * BATCH), bs=BATCH, shuffle=True, num_workers=0)
    return Learner(
        DataLoaders(loader, DataLoader(Endless(pairs, BATCH), bs=BATCH, num_workers=0)),
        model,
        loss_func=MSELossFlat(),
        splitter=lambda m: L(m[0][:4], m[0][4:], m[1:]).map(params),
        wd=1e-3,
        cbs=[Tuned()] if tuned else [],
    )


def peer(pairs: Pairs, minutes: float, tuned: bool) -> tuple[nn.Module, float]:
    """fastai's network after about so many minutes, and the seconds that it really took."""
    model, spent = network(), 0.0
    if tuned:
        model = model.to(memory_format=torch.channels_last)
    for frozen, share in ((True, 0.4), (False, 0.6)):

        def cycle(steps: int, frozen: bool = frozen) -> float:
            learn = _learner(model, pairs, steps, tuned)
            learn.freeze() if frozen else learn.unfreeze()
            start = time.perf_counter()
            with learn.no_bar(), learn.no_logging():
                if frozen:
                    learn.fit_one_cycle(1, 1e-3, pct_start=0.8)
                else:
                    learn.fit_one_cycle(1, slice(1e-6, 1e-3))
            return time.perf_counter() - start

        before = {k: v.clone() for k, v in model.state_dict().items()}
        cycle(2)
        one = cycle(4) / 5  # four steps and a validation
        model.load_state_dict(before)
        spent += cycle(max(2, round(minutes * 60 * share / one)))
    return model, spent


@torch.no_grad()
def quality(model: nn.Module, pairs: Pairs, tuned: bool) -> float:
    """Mean PSNR of a network in normalised units."""
    model.eval()
    values = []
    for x, y, _ in eval_batches(pairs, 16, CPU):
        with theirs.autocast(tuned):
            made = model(theirs.put((x - MEAN) / STD, tuned))
        values.append(psnr(made.float() * STD + MEAN, y))
    return float(torch.cat(values).mean())


class Passed(Exception):  # noqa: N818  (it is good news)
    """Ours is as good."""


def race(
    rounds: int, minutes: float = 10.0, folder: Path = Path("data/crappify"), tuned: bool = False
) -> Iterator[Row]:
    """One race; `rounds` is not looked at."""
    p = load(pretrain_generator.Params, "pretrain_generator")
    learner, data, worker = pretrain_generator.build(p, folder)
    train, valid = data.pairs("train", IMAGE_PX), data.pairs("valid", IMAGE_PX)
    model, spent = peer(train, minutes, tuned)
    goal = quality(model, valid, tuned)
    del model
    crappy = torch.cat([psnr(x, y) for x, y, _ in eval_batches(valid, 16, CPU)]).mean()
    print(f"fastai: {goal:.2f} dB after {spent:.0f} s (crappy: {float(crappy):.2f} dB)")
    first = p.phases[0]
    short = 160
    epochs = max(1, first.epochs * len(train) // short)
    phase = Phase(**{**first.model_dump(), "epochs": epochs, "samples_per_epoch": short})
    start = time.perf_counter()
    found: list[float] = []

    class Look(callback.Callback):
        def on_epoch_end(self, row: dict[str, float]) -> None:
            if row["valid_psnr"] >= goal:
                found.append(time.perf_counter() - start)
                raise Passed

    with suppress(Passed):
        fit(
            learner,
            [phase],
            data,
            worker,
            seed=p.seed,
            checkpoint=Checkpoint(None),
            callback=Look(),
        )
    if not found:
        print(f"ours did not reach {goal:.2f} dB in {time.perf_counter() - start:.0f} s")
        return
    name = "fastai tuned" if tuned else "fastai"
    yield Row("race", f"seconds to {goal:.2f} dB", "s", {OURS: found, name: [spent]})
