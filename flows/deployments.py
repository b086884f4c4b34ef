"""The other flows, which Prefect's page or a schedule starts.

    train             make a recipe that of params.yaml, and train a restorer for it
    nightly           bring everything up to date, and put the model into service if it is better
    sweep             a grid of params, each a DVC experiment, in one table
    restore-folder    restore what is new in a folder

`python -m flows ui` serves them all; `prefect deploy --all` takes them from prefect.yaml, for a
work pool. See docs/service.md.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from flows.restorer import restorer
from lessonpipe.app import registry
from lessonpipe.crappify import Recipe
from lessonpipe.errors import UserError
from lessonpipe.io.printable import printable
from tasks.pipeline.dvc_files import with_cure
from tasks.pipeline.lock import run_lock

Name = Annotated[str, Field(min_length=1)]


@flow(name="train")
def train(recipe: list[str | dict[str, dict[str, Any] | None]]) -> None:
    """Train a restorer for a recipe, and evaluate it.

    Args:
        recipe: Its steps, as ["grey", {"jpeg": {"quality": 20}}]; they replace the recipe that
            params.yaml has.
    """
    from dvc.utils.serialize import modify_yaml  # type: ignore[attr-defined]

    Recipe(recipe)  # raises for a wrong one, before anything is written
    with run_lock(get_run_logger().info), modify_yaml("params.yaml") as params:
        params["crappify"]["recipe"] = recipe
    restorer(("evaluate",))


@flow(name="nightly")
def nightly(
    stages: Sequence[str] = ("evaluate",),
    side_by_side: Annotated[int, Field(ge=1)] = 1,
    promote: bool = True,
) -> None:
    """Retrain on what is new, and put the model into service if it is better.

    Args:
        stages: Which to bring up to date, with all they depend on; none named: all of the restorer.
        side_by_side: How many stages may run at the same time; 1 suits one processor or GPU.
        promote: Compare the new model with the one in service afterwards, and promote a better one.
    """
    restorer(stages, side_by_side)
    if promote:
        promote_if_better()


@task(task_run_name="promote", cache_policy=NO_CACHE)
def promote_if_better() -> None:
    """Compare the new model with the one in production; the decision is an artifact."""
    from lessonpipe.report.evaluation import EvaluationParams
    from lessonpipe.report.promotion import PromotionParams, differences_table
    from tasks.pipeline.params import load

    p = load(PromotionParams, "promote")
    with with_cure():
        decision = registry.promote(p, load(EvaluationParams, "evaluate", partly=True))
    lines = [f"**{registry.current_version()} is in service.**"]
    lines += [f"- {reason}" for reason in decision.reasons or ["the new model is better"]]
    if decision.differences:
        lines += ["", differences_table(decision, p.tolerances).markdown()]
    create_markdown_artifact("\n".join(lines), "promotion", "The last decision")


@flow(name="sweep")
def sweep(
    grid: dict[str, list[Any]],
    stage: Name = "evaluate",
    side_by_side: Annotated[int, Field(ge=1)] = 1,
) -> None:
    """Run every combination of some params as a DVC experiment; the workspace is left alone.

    Args:
        grid: Values by key of params.yaml, as {"fit_gan.pixel_weight": [50, 100, 200]}.
        stage: Up to which stage.
        side_by_side: How many experiments may run at the same time.
    """
    from flows.experiments.queue import Experiment, metrics, run_all
    from tasks.pipeline.profiles import hydra_value

    if not grid or not all(grid.values()):
        raise UserError('a grid has at least one value a key: {"fit_gan.pixel_weight": [50, 100]}')
    arms = {}
    for values in itertools.product(*grid.values()):
        overrides = [f"{key}={hydra_value(value)}" for key, value in zip(grid, values, strict=True)]
        arms[" ".join(overrides)] = Experiment(stage=stage, overrides=overrides)
    with run_lock(get_run_logger().info):
        run_all(arms.values(), side_by_side)
    rows = [{"params": name, "experiment": e.name, **metrics(e)} for name, e in arms.items()]
    create_table_artifact(rows, "sweep", "Each combination and its measures")


@flow(name="restore-folder")
def restore_folder(
    inbox: Name = "inbox",
    outbox: Name = "restored",
    model: Name = "models/in-service",
    scale: Annotated[float, Field(gt=0, le=16)] = 1.0,
    gps: bool = True,
) -> None:
    """Restore what is new in a folder, each picture once.

    Args:
        inbox: The folder with pictures to restore; its sub-folders count.
        outbox: Where the restored ones go, under their own names.
        model: The model folder that restores them.
        scale: Enlarge by this first.
        gps: Whether the results may say where they were taken.
    """
    from lessonpipe.inference.inbox import restore_new

    log = get_run_logger()
    with with_cure():
        done = restore_new(
            Path(inbox),
            Path(outbox),
            Path(model),
            scale=scale,
            gps=gps,
            log=log.info,
        )
    failed = [picture for picture in done if picture.error]
    log.info("%d restored, %d could not be", len(done) - len(failed), len(failed))
    if failed:
        rows = [{"picture": printable(p.name), "why": p.error} for p in failed]
        create_table_artifact(rows, "not-restored", "Pictures that could not be restored")
