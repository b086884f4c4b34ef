"""Try learning rates for a stage before it is trained: -> reports/lr_find/STAGE.{csv,svg}.

    lessonpipe lr-find pretrain_generator
    lessonpipe lr-find fit_pixel --phase 3     # as its third phase would
    lessonpipe lr-find digits --end-lr 100     # of a sweep's networks the first

No stage itself: it takes a training stage's network, loss and data, and changes none of them.
"""

import importlib
from pathlib import Path
from typing import Any

from lessonpipe.errors import UserError
from lessonpipe.io.atomic import atomic_write
from tasks.pipeline import params

OUT = Path("reports/lr_find")
STAGES = ("pretrain_generator", "pretrain_critic", "fit_pixel", "fit_feature")
LESSONS = ("digits", "streets", "numbers")
TURNS = ("fit_gan", "bedrooms")
START_LR, END_LR = 1e-7, 10.0


def find(
    stage: str,
    phase: int = 1,
    params_file: Path = Path("params.yaml"),
    *,
    end_lr: float = END_LR,
) -> dict[str, float]:
    """Try rates up to `end_lr` for a phase, or a network of a sweep, counted from 1.

    Plots the curve, prints and returns the suggestions. Raises `UserError` for a stage or phase
    without a rate to find.
    """
    if stage not in (*STAGES, *LESSONS):
        why = " (of two networks that take turns no loss says how well they learn)"
        raise UserError(
            f"{stage} has no learning rate to find{why if stage in TURNS else ''}; those that "
            f"have: {', '.join((*STAGES, *LESSONS))}"
        )
    from lessonpipe.report.curves import rate_curve  # load torch and matplotlib: not for a stage
    from lessonpipe.train.fit import as_csv
    from lessonpipe.train.lr_find import lr_find

    module: Any = importlib.import_module(f"tasks.{stage}")
    p = params.load_stage(module, stage, params_file)
    at = params.phase_of(p, stage, phase)
    learner, data, worker = module.build(p, at) if hasattr(p, "runs") else module.build(p)
    curve = lr_find(learner, data, at, worker, seed=p.seed, rates=(START_LR, end_lr))
    rows = [
        {"rate": rate, "loss": loss} for rate, loss in zip(curve.rates, curve.losses, strict=True)
    ]
    atomic_write(OUT / f"{stage}.csv", as_csv(rows))
    suggested = curve.suggest()
    svg = rate_curve(stage, curve.rates, curve.losses, suggested)
    atomic_write(OUT / f"{stage}.svg", svg)
    rates = ", ".join(f"{name} {rate:.1e}" for name, rate in suggested.items())
    what = at.system if hasattr(p, "runs") else at.title(f"phase {phase}")
    print(f"{stage}, {what}: max_lr {rates}; see {OUT / stage}.svg")
    return suggested
