"""The model registry: versions, which of them is in production, and how one is promoted.

`models/in-service` is a link to one of `models/versions/`, so that it changes at once or not at
all. A version is tagged `restorer@v3` in git, on a commit that holds params.yaml and dvc.lock as
they were; what is in production is tagged `restorer#in-service#5`, as GTO does.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from lessonpipe.errors import UserError
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_link, atomic_write, write_json
from lessonpipe.io.git import git
from lessonpipe.io.journal import Journal
from lessonpipe.io.sync import make_folder
from lessonpipe.zoo import find_model

if TYPE_CHECKING:
    from lessonpipe.report.evaluation import EvaluationParams, Grid
    from lessonpipe.report.promotion import Decision, PromotionParams

NAME = "restorer"
PRODUCTION = Path("models/in-service")
TRAINED = Path("models/fit_pixel")
VERSIONS = Path("models/versions")
LOG = Journal(VERSIONS / "log.jsonl")  # an entry each time that a version goes into production
METRICS = Path("reports/metrics.json")
PAGE = Path("reports/promotion.html")
PAIRS = Path("data/crappify")


def default_model(*, enlarges: bool = False) -> Path:
    """Returns the folder of the model in production, else the trained one, else the package's.

    The package has one for pictures that are to be enlarged, and one for all others. Where it has
    none, that is the folder that training would make.
    """
    own = find_model("enlarge" if enlarges else "old-photo")
    folders = (PRODUCTION, TRAINED, own)
    return next((folder for folder in folders if (folder / "model.json").is_file()), TRAINED)


def current_version() -> str | None:
    """Returns the version in production, such as `v3`, or None."""
    return PRODUCTION.resolve().name if PRODUCTION.exists() else None


def promote(p: "PromotionParams", evaluation: "EvaluationParams") -> "Decision":
    """Promotes the model of `p` if it is better than the one in production, or the first.

    Of two promotions at the same time the second waits. Writes the decision to
    `reports/promotion.html`, with figures and pictures if two models were compared. Raises
    `MissingError` when `p.model` is not a model folder, and what `compare_models` raises.
    """
    from lessonpipe.report.promotion import promotion_page  # loads torch: not for default_model

    new = lineage.of_model(p.model)
    with _alone():
        old = lineage.of_model(PRODUCTION) if PRODUCTION.exists() else None
        decision, grid = _decide(p, evaluation, new, old)
        version = None
        if decision.better:
            version = _register(p.model, "promoted" if old else "the first")
        lineages = {"in service": old, "new": new} if old else {"new": new}
        atomic_write(PAGE, promotion_page(p, decision, grid, lineages, version))
        if version:
            atomic_write(VERSIONS / version / PAGE.name, PAGE.read_bytes(), fsync=True)
    why = f": {'; '.join(decision.reasons)}" if decision.reasons else ""
    print(f"{version} is in service{why}" if version else f"not promoted{why}")
    print(f"look at {PAGE}")
    return decision


def _decide(
    p: "PromotionParams",
    evaluation: "EvaluationParams",
    new: dict[str, Any],
    old: dict[str, Any] | None,
) -> tuple["Decision", "Grid | None"]:
    """Decides by the lineages if they suffice, else by comparing both models."""
    from lessonpipe.report.promotion import Decision, compare_models

    if old is None:
        return Decision(True, ["there was none before"], {}), None
    if old["weights"] == new["weights"]:
        same = f"{p.model} is {current_version()}, the model in service"
        return Decision(False, [same], {}), None
    return compare_models(PRODUCTION, PAIRS, p, evaluation)


def rollback() -> str:
    """Puts the version that was in production before back, and returns it.

    Raises `UserError` when there is none.
    """
    if not VERSIONS.is_dir():
        raise UserError("no other version was in service before; nothing is changed")
    with _alone():
        current = current_version()
        there = {path.parent.name for path in VERSIONS.glob("*/model.json")}
        before = [e["version"] for e in history() if e["version"] in there - {current}]
        if not current or not before:
            raise UserError("no other version was in service before; nothing is changed")
        version = str(before[-1])
        _put_into_production(version, f"back from {current}")
    print(f"{version} is in service again")
    return version


def history() -> list[dict[str, Any]]:
    """Returns which version went into production when and why, oldest first."""
    return [entry for entry in LOG.read() if isinstance(entry.get("version"), str)]


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process changes versions, and keep others waiting in the block."""
    make_folder(VERSIONS, fsync=True)
    with FileLock(VERSIONS / ".lock"):
        yield


def _register(model: Path, why: str) -> str:
    """Copies a model to a new version and puts it into production; returns the version."""
    taken = [int(v.name[1:]) for v in VERSIONS.glob("v*") if v.name[1:].isdecimal()]
    version = f"v{max(taken, default=0) + 1}"
    with atomic_folder(VERSIONS / version, fsync=True) as draft:
        shutil.copytree(model, draft, dirs_exist_ok=True)
        if METRICS.is_file():
            shutil.copyfile(METRICS, draft / "metrics.json")
        write_json(draft / "version.json", {"version": version, "model": model.as_posix()})
    _tag(f"{NAME}@{version}", f"{model.as_posix()}, {why}")
    _put_into_production(version, why)
    return version


def _put_into_production(version: str, why: str) -> None:
    atomic_link(PRODUCTION, Path("versions") / version, fsync=True)
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "version": version}
    LOG.append({**entry, "why": why}, fsync=True)
    _tag(f"{NAME}#in-service#{len(history())}", f"{version}: {why}")


def _tag(name: str, message: str) -> None:
    """Tags a commit that holds the tracked files as they are now; the branch stays as it is.

    Without git it prints that there is no tag: a project that is no repository has versions, too.
    """
    author = ["-c", "user.name=lessonpipe", "-c", "user.email=lessonpipe@localhost"]
    try:
        commit = git(*author, "stash", "create", message) or "HEAD"
        git(*author, "tag", "--force", "--annotate", name, commit, "--message", message)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or error
        print(f"no tag {name}: {str(reason).strip()}")
