"""Answer "does it help?" by experiments: every arm of a question, over some seeds, through DVC.

    python -m flows choices [QUESTION ...] [--again] [--side-by-side 2]

Reads `ablations.yaml`; queues what has not been run yet, runs it, measures the models, and
writes `docs/ablations.json`, `docs/ablations.md` and a picture a question. Broken off, it goes on
(without `--again`, which drops answers and experiments first, to run them anew).
The pipeline itself must have run (`dvc repro`): its data are what is measured on.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from flows.experiments.queue import Experiment, dvc, forget, run_all
from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import LessonpipeError, one_of
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.report.ablation import METRICS, ablation_table
from tasks.pipeline.profiles import spelt

QUESTIONS = Path("flows/experiments/ablations.yaml")
RAW = Path("docs/ablations.json")
PAGE = Path("docs/ablations.md")
PICTURES = Path("docs/choices")
PAIRS = Path("data/crappify")
TELL = """# Choices, measured

Each question was put to the sample pipeline, cut short, with {seeds} seeds an arm. Figures are
means over seeds and the validation photos. In brackets the 95 % interval of the difference from
the first row, paired, by a bootstrap over photos and seeds; **bold** where it leaves out zero, and
where nothing is bold, no difference was to be seen. Seconds are those of the training stage; where
experiments ran side by side or beside other work they compare only roughly.

So short a training is a lottery: the same first arm of the generator's questions, with the same
three seeds, reached 1.39 dB when some of these were answered and 1.02 dB when others were, on
another day, and 1.54 dB on a processor without bf16 instructions, in float32 (the last four
answers: pixel weight, momentum, output, critic). What is bold below is a lead, no more, until the
whole run shows it too; the blur's half a decibel did not.

This page is made by `python -m flows choices`, which runs what `ablations.yaml` beside it asks
and has no answer yet; with `--again` a question's experiments are run once more. The raw
figures are in `choices.json`.
"""


class Question(StrictModel):
    """What is asked, of which stage, the arms (what each sets in params.yaml), and a remark."""

    asks: str
    stage: str
    measured_at: tuple[int, ...] = (128,)
    arms: dict[str, dict[str, Any]] = Field(min_length=2)
    note: str = ""


class Questions(StrictModel):
    """The whole file."""

    seeds: list[int]
    common: dict[str, Any]
    questions: dict[str, Question]


def answer(names: Iterable[str], side_by_side: int = 1, again: bool = False) -> int:
    """Run what is missing for the named questions, or for all, and write the page.

    `again` forgets their answers and experiments first. `side_by_side` experiments share the
    machine's cores, unless OMP_NUM_THREADS deals them out.
    """
    asked = Questions(**yaml.safe_load(QUESTIONS.read_text("utf-8")))
    chosen = list(names) or list(asked.questions)
    for name in chosen:
        if name not in asked.questions:
            raise one_of("question", name, asked.questions)
    results: dict[str, Any] = read_json(RAW) if RAW.is_file() else {}
    if again:
        forget(e for name in chosen for arm in arms_of(asked, name).values() for e in arm)
        results = {name: found for name, found in results.items() if name not in chosen}
        write_json(RAW, results)
    for name in chosen:
        question, arms = asked.questions[name], arms_of(asked, name)
        key = {arm: [e.name for e in experiments] for arm, experiments in arms.items()}
        if results.get(name, {}).get("experiments") == key:
            print(f"{name}: answered already; --again answers it anew")
            continue
        if question.stage != "pretrain_critic":
            Manifest.read(PAIRS)  # what models are measured on: complain before the training
        missing = (e for experiments in arms.values() for e in experiments)
        run_all(missing, side_by_side, anew=again)
        results[name] = {"experiments": key, **measure(name, question, arms)}
        write_json(RAW, results)
        atomic_write(PAGE, page(asked, results))
    atomic_write(PAGE, page(asked, results))
    print(f"look at {PAGE}")
    return 0


def arms_of(asked: Questions, name: str) -> dict[str, list[Experiment]]:
    """The experiments of each arm of a question, one a seed."""
    question = asked.questions[name]
    return {
        arm: [experiment(question.stage, {**asked.common, **sets}, s) for s in asked.seeds]
        for arm, sets in question.arms.items()
    }


def experiment(stage: str, sets: Mapping[str, Any], seed: int) -> Experiment:
    """The training of `stage` with these settings; its seed is its own, its data everybody's."""
    words = [f"{key}={spelt(value)}" for key, value in sets.items()]
    return Experiment(stage=stage, words=[*words, f"+{stage}.seed={seed}"])


def measure(name: str, question: Question, arms: dict[str, list[Experiment]]) -> dict[str, Any]:
    """The measures of every arm's models, seeds x photos at each size, and their seconds."""
    seconds = {arm: [_seconds(e) for e in experiments] for arm, experiments in arms.items()}
    values: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(len(next(iter(arms.values())))):
            models = {arm: Path(folder) / experiments[i].name for arm, experiments in arms.items()}
            for arm, experiments in arms.items():
                out = f"models/{question.stage}"
                dvc("get", ".", out, "--rev", experiments[i].name, "-o", models[arm], "--force")
            for px in question.measured_at:
                found = _scores(models, px, None if i else PICTURES / f"{name}_{px}.jpg")
                for arm, by_measure in found.items():
                    for what, photos in by_measure.items():
                        at = values.setdefault(str(px), {}).setdefault(arm, {})
                        at.setdefault(what, []).append(photos)
    return {"seconds": seconds, "values": values}


def _scores(
    models: dict[str, Path], image_px: int, picture: Path | None
) -> dict[str, dict[str, list[float]]]:
    if (next(iter(models.values())) / "metrics.json").is_file():  # critics say it themselves
        return {arm: {"accuracy": [_accuracy(folder)]} for arm, folder in models.items()}
    from lessonpipe.data.pictures import as_jpeg
    from lessonpipe.report.evaluation import evaluate_folders
    from tasks import evaluate
    from tasks.pipeline import params

    p = params.load(evaluate.Params, "evaluate").model_copy(update={"grid_rows": 3})
    scores, grid = evaluate_folders(models, PAIRS, image_px, p)
    if picture:
        atomic_write(picture, as_jpeg(grid.picture()))
    return {
        arm: {m: v for m in METRICS if m != "accuracy" and (v := scores[arm].by_photo(m))}
        for arm in models
    }


def _accuracy(folder: Path) -> float:
    return float(read_json(folder / "metrics.json")["accuracy"])


def page(asked: Questions, results: dict[str, Any]) -> str:
    """All answers so far, in the order of the questions."""
    parts = [TELL.format(seeds=len(asked.seeds)).rstrip()]
    for name, question in asked.questions.items():
        if name not in results:
            continue
        seconds = {arm: sum(s) / len(s) for arm, s in results[name]["seconds"].items()}
        parts.append(f"## {question.asks}\n\n`python -m flows choices {name} --again`")
        for px, arms in results[name]["values"].items():
            parts.append(f"At {px} pixels:\n\n{ablation_table(arms, seconds).markdown()}")
            picture = PICTURES / f"{name}_{px}.jpg"
            if picture.is_file():
                parts.append(f"![{question.asks}]({picture.relative_to(PAGE.parent).as_posix()})")
        if question.note:
            parts.append(question.note)
    return "\n\n".join(parts) + "\n"


def _seconds(one: Experiment) -> float:
    """Of the training stage; no number when the queue has forgotten the experiment."""
    try:
        told = dvc("queue", "logs", one.name)
    except LessonpipeError:
        return float("nan")
    found = re.search(rf"^{one.stage}: done in (\d+) s", told, re.M)
    return float(found[1]) if found else float("nan")
