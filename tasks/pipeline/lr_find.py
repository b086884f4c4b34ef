"""Try learning rates for a stage before it is trained: -> reports/lr_find/STAGE.{csv,svg}.

    python -m tasks pretrain_generator --lr-find
    python -m tasks fit_pixel --lr-find 3     # as its third phase would

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


def find(stage: str, phase: int = 1, params_file: Path = Path("params.yaml")) -> dict[str, float]:
    """Try rates for a phase, counted from 1; plots the curve, prints and returns the suggestions.

    Raises `UserError` for a stage or phase without a rate to find.
    """
    if stage not in STAGES:
        raise UserError(
            f"{stage} has no learning rate to find; those that have: {', '.join(STAGES)}"
        )
    from lessonpipe.report.curves import rate_curve  # load torch and matplotlib: not for a stage
    from lessonpipe.train.fit import as_csv
    from lessonpipe.train.lr_find import lr_find

    module: Any = importlib.import_module(f"tasks.{stage}")
    p = params.load_stage(module, stage, params_file)
    if not 1 <= phase <= len(p.phases):
        raise UserError(f"{stage} has {len(p.phases)} phases; there is no phase {phase}")
    learner, data, worker = module.build(p)
    at = p.phases[phase - 1]
    curve = lr_find(learner, data, at, worker, seed=p.seed)
    rows = [
        {"rate": rate, "loss": loss} for rate, loss in zip(curve.rates, curve.losses, strict=True)
    ]
    atomic_write(OUT / f"{stage}.csv", as_csv(rows))
    suggested = curve.suggest()
    svg = rate_curve(stage, curve.rates, curve.losses, suggested)
    atomic_write(OUT / f"{stage}.svg", svg)
    rates = ", ".join(f"{name} {rate:.1e}" for name, rate in suggested.items())
    print(f"{stage} phase {phase} ({at.image_px} px): max_lr {rates}; see {OUT / stage}.svg")
    return suggested
