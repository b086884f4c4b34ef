"""Put a model into service, but only if it is better; go back to the one before.

    python -m flows promote               the model of params.yaml's section `promote`
    python -m flows promote --rollback    the one that was in service before

`models/in-service` is a link to one of `models/versions/`, so that it changes at once or not at
all. A version is tagged `restorer@v3` in git, on a commit that holds params.yaml and dvc.lock as
they were; what is in service is tagged `restorer#in-service#5`, as GTO does.
"""

import html
import json
import os
import shutil
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from lessonpipe.app.registry import PRODUCTION
from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import UserError
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write, write_json
from lessonpipe.io.git import git
from lessonpipe.io.journal import Journal
from lessonpipe.report.promotion import Decision, decide
from tasks import evaluate
from tasks.pipeline import params

NAME = "restorer"
VERSIONS = Path("models/versions")
LOG = VERSIONS / "log.jsonl"  # who went into service, in order
PAGE = Path("reports/promotion.html")
PAIRS = Path("data/crappify")


class Params(StrictModel):
    """Which model, at which size, and what it must be better at without being worse elsewhere."""

    seed: int
    model: Path
    image_px: int = Field(ge=32, multiple_of=32)
    measure: str
    allowed: dict[str, float]


def promote() -> Decision:
    """Compare the new model with the one in service, and promote it if it is better.

    Nothing in service: the first model is promoted. The decision is written to
    `reports/promotion.html`, with figures and pictures where there was anything to compare.
    """
    p = params.load(Params, "promote")
    lineage.of_model(p.model)  # complain at once
    before = lineage.of_model(PRODUCTION) if PRODUCTION.exists() else None
    verdict, grid = decide_promotion(p, before)
    entered = _enter(p.model, "promoted" if before else "the first") if verdict.better else None
    atomic_write(PAGE, page(p, verdict, grid, before, entered))
    if entered:
        shutil.copyfile(PAGE, VERSIONS / entered / PAGE.name)
    why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    print(f"{entered} is in service{why}" if entered else f"not promoted{why}")
    print(f"look at {PAGE}")
    return verdict


def decide_promotion(p: Params, before: dict[str, Any] | None) -> tuple[Decision, Any]:
    """The verdict, and pictures; None where there is nothing to compare."""
    if before is None:
        return Decision(True, ["there was none before"], {}), None
    if before["weights"] == lineage.of_model(p.model)["weights"]:
        same = f"{p.model} is {PRODUCTION.resolve().name}, the model in service"
        return Decision(False, [same], {}), None
    return compare(p)


def compare(p: Params) -> tuple[Decision, Any]:
    """Both models on the validation pictures."""
    from lessonpipe.device import Worker
    from lessonpipe.metrics import PerceptualDistance
    from lessonpipe.nets.generator import fold_weight_norm
    from lessonpipe.nets.io import load_generator

    e = params.load(evaluate.Params, "evaluate")
    worker = Worker.current(e.precision)
    nets = {
        name: worker.to_device(fold_weight_norm(load_generator(folder)))
        for name, folder in (("in service", PRODUCTION), ("new", p.model))
    }
    eyes = worker.to_device(PerceptualDistance(e.encoder, pretrained=e.pretrained))
    manifest = Manifest.read(PAIRS)
    scores, grid = evaluate.measure(nets, manifest, PAIRS, p.image_px, e, worker, eyes)
    names = {p.measure, *p.allowed}
    new, old = ({n: scores[who].by_photo(n) for n in names} for who in ("new", "in service"))
    if not new[p.measure]:
        raise UserError(f"promote.measure = {p.measure!r}: this recipe has no such measure")
    return decide(
        {n: v for n, v in new.items() if v}, old, measure=p.measure, allowed=p.allowed
    ), grid


def rollback() -> str:
    """Put the version that was in service before back. Raises `UserError` when there is none."""
    entries = history()
    current = PRODUCTION.resolve().name if PRODUCTION.exists() else None
    before = [e["version"] for e in entries if e["version"] != current]
    if not current or not before:
        raise UserError("no other version was in service before; nothing is changed")
    _serve(before[-1], f"back from {current}")
    print(f"{before[-1]} is in service again")
    return str(before[-1])


def history() -> list[dict[str, Any]]:
    """Which version went into service when and why, oldest first."""
    return Journal(LOG).read()


def _enter(model: Path, why: str) -> str:
    """A new version, whole, and in service."""
    VERSIONS.mkdir(parents=True, exist_ok=True)
    taken = [int(v.name[1:]) for v in VERSIONS.glob("v*") if v.name[1:].isdecimal()]
    version = f"v{max(taken, default=0) + 1}"
    with atomic_folder(VERSIONS / version) as draft:
        shutil.copytree(model, draft, dirs_exist_ok=True)
        if Path("reports/metrics.json").is_file():
            shutil.copyfile("reports/metrics.json", draft / "metrics.json")
        write_json(draft / "version.json", {"version": version, "model": model.as_posix()})
    _tag(f"{NAME}@{version}", f"{model.as_posix()}, {why}")
    _serve(version, why)
    return version


def _serve(version: str, why: str) -> None:
    link = PRODUCTION.with_name(f".{PRODUCTION.name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(Path("versions") / version, target_is_directory=True)
    os.replace(link, PRODUCTION)
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "version": version}
    Journal(LOG).append({**entry, "why": why})
    _tag(f"{NAME}#in-service#{len(history())}", f"{version}: {why}")


def _tag(name: str, words: str) -> None:
    """Tag a commit that holds the tracked files as they are now; the branch is left alone."""
    who = ["-c", "user.name=lessonpipe", "-c", "user.email=lessonpipe@localhost"]
    try:
        made = git(*who, "stash", "create", words) or "HEAD"
        git(*who, "tag", "--force", "--annotate", name, made, "--message", words)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "") or error
        print(f"no tag {name}: {str(told).strip()}")


def page(
    p: Params, verdict: Decision, grid: Any, before: dict[str, Any] | None, version: str | None
) -> str:
    """The decision, why, and the figures and the pictures if there are any."""
    from lessonpipe.report.style import STYLE

    said = f"{version} went into service" if version else "not promoted"
    reasons = verdict.reasons or [
        f"{p.measure} is surely better, and nothing is worse than allowed"
    ]
    made = {"in service": before, "new": lineage.of_model(p.model)}
    about = json.dumps({k: _short(v) for k, v in made.items() if v}, indent=2)
    return "\n".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8><title>promotion</title>",
            f"<style>{STYLE}</style><h1>{said}</h1>",
            *(f"<p>{html.escape(reason)}</p>" for reason in reasons),
            *(_compared(p, verdict, grid) if grid else []),
            f"<h2>What they were made of</h2><pre>{html.escape(about)}</pre>",
            f"<pre>{html.escape(json.dumps(asdict(verdict), indent=2))}</pre>",
        ]
    )


def _compared(p: Params, verdict: Decision, grid: Any) -> list[str]:
    from lessonpipe.report.style import embed_image

    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{d.mean:+.3f}</td><td>{d.low:+.3f}…{d.high:+.3f}</td>"
        f"<td>{p.allowed.get(name, '–')}</td></tr>"
        for name, d in verdict.differences.items()
    )
    return [
        "<div class=wide><table><caption>new minus in service, turned so that more is better; "
        "means over photos, 95 % bootstrap</caption><tr><th></th><th>difference</th>"
        f"<th>interval</th><th>may be worse by</th></tr>{rows}</table></div>",
        f"<h2>Pictures at {p.image_px}</h2>",
        embed_image(grid.picture(), "crappy, in service, new, photo"),
    ]


def _short(known: dict[str, Any]) -> dict[str, Any]:
    return {k: known[k] for k in ("model", "weights", "commit", "inputs") if k in known}
