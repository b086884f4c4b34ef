"""Every notebook's profile for a few steps, from which the whole of its training is reckoned.

The stages' own networks, losses and loaders, on sample photos and generated scenes in place of the
notebook's data, and random digits; a step is as much work. Encoders are not pretrained, so that
nothing is fetched. Pictures are in memory: what it takes to decode them is left out. Of a switch
that decides by losses critic and generator are taken in turns.
"""

import importlib
import io
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from lessonpipe.nets import encoder
from lessonpipe.nets.io import save_model
from lessonpipe.nets.pretrained import create_features
from lessonpipe.train.callback import NoCallback
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from tasks.pipeline.params import load_stage
from tests.conftest import ROOT
from tests.gpu_check.check import Case, Check, Result
from tests.gpu_check.stand_ins import COUNTS, make_data

NOTEBOOKS = ("lesson*", "camvid", "lsun")
STAGES = (
    "pretrain_generator", "pretrain_critic", "fit_gan", "fit_pixel", "fit_feature",
    "digits", "streets", "bedrooms", "numbers",
)  # fmt: skip
PAIRS, START = STAGES[:5], STAGES[:2]  # those of pairs, and those that others start from
WARM, STEPS, VALID = 4, 12, 2  # twelve are two rounds of five to one
TINY = {
    "encoder": "test_efficientnet", "widths": [16, 16, 8, 8], "head": 8, "image_px": 64,
    "batch": 2, "features": 4, "high_resolution": [64, 64],
}  # fmt: skip
TURNS = {"kind": "fixed", "critic": 1, "generator": 1}


@dataclass
class Short:
    """The first `steps` batches of a data set's epochs, and of its validation `valid`."""

    data: Any
    steps: int
    valid: int

    def train_batches(self, phase: Any) -> "Short":
        self.batches = self.data.train_batches(phase)
        return self

    def epoch(self, epoch: int) -> Iterator[Any]:
        return islice(self.batches.epoch(epoch), self.steps)

    def valid_batches(self, phase: Any) -> Iterator[Any]:
        return islice(self.data.valid_batches(phase), self.valid)


@dataclass
class Clock(NoCallback):
    """When each step was done, and the validation after them."""

    check: Check
    steps: list[float] = field(default_factory=list)
    validated: float = 0.0

    def on_step_end(self, losses: Callable[[], dict[str, float]]) -> None:
        self.steps.append(self.check.wait())

    def on_validation_end(self, row: dict[str, float]) -> None:
        self.validated = self.check.wait()


def profiles() -> list[str]:
    """The names of the notebooks' profiles."""
    return sorted({file.stem for name in NOTEBOOKS for file in ROOT.glob(f"profiles/{name}.yaml")})


def merged(params: Any, overlay: Any) -> Any:
    """Params with a profile laid over them; lists are replaced."""
    if not (isinstance(params, dict) and isinstance(overlay, dict)):
        return overlay
    return params | {key: merged(params.get(key), value) for key, value in overlay.items()}


def cut(value: Any, tiny: bool) -> Any:
    """Params without adaptive switches, and with `tiny` of small networks and pictures."""
    if isinstance(value, list):
        return [cut(one, tiny) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: cut(inner, tiny) for key, inner in value.items()}
    if found.get("kind") == "adaptive":
        return TURNS
    if tiny:
        small = TINY | ({"width": 8} if found.get("kind") == "lesson" else {})
        found |= {key: small[key] for key in small.keys() & found.keys()}
        if isinstance(value.get("image_px"), list):
            found["image_px"] = [64, 96]
    return found


def cases(check: Check) -> Iterator[Case]:
    """A case a phase, and one a profile with the whole of it."""
    base = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in profiles():
        profile = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text())
        params = merged(base, profile)
        stages = [stage for stage in STAGES if stage in profile]
        if set(stages) & set(PAIRS) and PAIRS[0] not in stages:
            stages = [PAIRS[0], *stages]  # the others go on from its network
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "params.yaml").write_text(yaml.safe_dump(cut(params, check.tiny)))
            yield f"{name}: data", partial(_quietly, place, make_data, params, stages, check)
            hours: dict[str, float] = {}
            for stage in stages:
                yield from _stage_cases(name, stage, place, check, hours)
            yield f"{name}: the whole", partial(_total, hours)


def _stage_cases(
    profile: str, stage: str, place: Path, check: Check, hours: dict[str, float]
) -> Iterator[Case]:
    """A case a phase of a stage, or a network of its sweep; its seconds are added to `hours`."""
    module: Any = importlib.import_module(f"tasks.{stage}")
    built: list[Any] = []
    with chdir(place):
        p = load_stage(module, stage)
    phases = p.runs if hasattr(p, "runs") else p.phases
    trained = [(number, phase) for number, phase in enumerate(phases, 1) if phase.epochs]

    def network() -> Result:
        _leave(stage, module.build(p)[0])
        return Result("new, and not trained")

    def measure(phase: Any, number: int) -> Result:
        if hasattr(p, "runs") or not built:
            built[:] = module.build(p, phase) if hasattr(p, "runs") else module.build(p)
        found = time_phase(stage, built, phase, check)
        hours[f"{stage} {number}"] = found.values["seconds"]
        if number == trained[-1][0]:
            _leave(stage, built[0])
        return found

    if not trained and stage in START:
        yield f"{profile}: {stage}, its network", partial(_quietly, place, network)
    for number, phase in trained:
        title = f"{profile}: {phase.title(f'{stage} {number}')}"
        yield title, partial(_quietly, place, measure, phase, number)


def time_phase(stage: str, built: list[Any], phase: Any, check: Check) -> Result:
    """Train a few steps; from their mean the seconds of an epoch and of all are reckoned."""
    learner, data, worker = built
    warm, steps = (1, 2) if check.tiny else (WARM, STEPS)
    clock, short = Clock(check), Short(data, warm + steps, VALID)
    once = phase.model_copy(update={"epochs": 1, "samples_per_epoch": (warm + steps) * phase.batch})
    history = fit(
        learner, [once], short, worker, seed=1, checkpoint=Checkpoint(None), callback=clock
    )
    timed = clock.steps[min(warm, len(clock.steps) - 1) - 1 :]
    step = (timed[-1] - timed[0]) / max(1, len(timed) - 1)
    valid = (clock.validated - clock.steps[-1]) / VALID
    train_count, valid_count = COUNTS[stage]
    if train_count:
        counted = getattr(phase, "in_pairs", phase)  # where a phase counts pictures, not samples
        steps_an_epoch = math.ceil((counted.samples_per_epoch or train_count) / counted.batch)
        valid_steps = math.ceil(valid_count / counted.batch)
    else:  # the very data of the lesson
        steps_an_epoch = data.train_batches(phase).steps
        valid_steps = sum(1 for _ in data.valid_batches(phase))
    epoch = steps_an_epoch * step + valid_steps * valid
    seconds = phase.epochs * epoch
    finite = all(math.isfinite(value) for value in history[-1].values())
    text = (
        f"{step * 1000:.1f} ms a step of {phase.batch}, {epoch:.1f} s an epoch of "
        f"{steps_an_epoch}, {phase.epochs} epochs {seconds / 60:.1f} min"
    )
    values = {"step_ms": step * 1000, "epoch_s": epoch, "epochs": phase.epochs, "seconds": seconds}
    return Result(text, values | {"losses": history[-1]}, finite)


def _leave(stage: str, learner: Any) -> None:
    """Leave what the stages after this one start from."""
    if stage in START:
        save_model(Path("models") / stage, learner.net, {"stage": stage})
    if stage == "pretrain_generator":
        from tasks import save_preds

        save_preds.run(load_stage(save_preds, "save_preds"))


def _quietly(place: Path, call: Callable[..., Result], *args: Any) -> Result:
    """Call within a folder, without pretrained weights; what is printed there is not shown."""
    said = io.StringIO()
    with (
        mock.patch.object(encoder, "create_features", _untrained),
        chdir(place),
        redirect_stdout(said),
        redirect_stderr(said),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        return call(*args)


def _untrained(name: str, *, pretrained: bool, **options: Any) -> Any:
    return create_features(name, pretrained=False, **options)


def _total(hours: dict[str, float]) -> Result:
    if not hours:
        return Result("nothing of it was timed", {}, False)
    total = sum(hours.values())
    return Result(f"{total / 3600:.2f} h of training", {"seconds": total, "phases": len(hours)})
