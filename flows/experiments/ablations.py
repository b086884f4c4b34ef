"""Ablations: "does it help?", answered by DVC experiments over some seeds.

    python -m flows ablations [QUESTION ...] [--again] [--side-by-side 2]

Reads `ablations.yaml`; runs the experiments that are missing, measures their models, and writes
`docs/ablations.json`, `docs/ablations.md` and pictures where an arm's PSNR differs significantly.
After an interruption it continues (without `--again`, which drops answers and experiments first).
The pipeline itself must have run (`dvc repro`): its data are what is measured on.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from flows.dvc import dvc
from flows.experiments.queue import Experiment, remove, run_all, seconds
from lessonpipe.config import StrictModel
from lessonpipe.data.manifest import Manifest
from lessonpipe.errors import one_of
from lessonpipe.io.atomic import atomic_write, read_json, write_json
from lessonpipe.report.ablation import METRICS, Values, ablation_table
from lessonpipe.report.bootstrap import bootstrap_difference
from lessonpipe.report.result import RESULT_FILE, Result
from tasks.pipeline.profiles import hydra_value

QUESTIONS = Path("flows/experiments/ablations.yaml")
RESULTS = Path("docs/ablations.json")
PAGE = Path("docs/ablations.md")
PICTURES = Path("docs/ablations")
PAIRS = Path("data/crappify")
INTRODUCTION = """# Ablations

Each question was put to the sample pipeline, cut short, or to a lesson, with {seeds} seeds an arm.
Figures are means over seeds and the validation photos. In brackets the 95 % interval of the
difference from the first row, paired, by a bootstrap over photos and seeds; **bold** where it
leaves out zero, and where nothing is bold, no difference was to be seen. There are pictures where
the PSNR differs. Seconds are those of the training stage, in the lessons those of a training; where
experiments ran side by side or beside other work they compare only roughly.

So short a training is a lottery: the same first arm of the generator's questions, with the same
three seeds, reached 1.39, 1.02 and 1.08 dB on different days, and 1.54 dB on a processor without
bf16 instructions, in float32 (pixel weight, momentum, output, critic); the GAN's 1.51 dB, and there
0.74. What is bold below is a lead, no more, until the
whole run shows it too; the blur's half a decibel did not.

This page is made by `python -m flows ablations`, which runs what `flows/experiments/ablations.yaml`
asks and has no answer here yet; with `--again` a question's experiments are run once more. The raw
figures are in `ablations.json`.
"""


class Question(StrictModel):
    """What is asked, of which stage, and what each arm sets in params.yaml; the first is the base.

    `all_arms` is what all of them set. The arms' models are measured at the sizes `measured_at`, in
    pixels, on the pairs of the project, or with `own_pairs` on those that the first arm made; a
    lesson's stage, given by DVC's address, measures itself, and of its `measures` those count, by
    default all. `note` is printed below.
    """

    asks: str
    stage: str
    measured_at: tuple[int, ...] = (128,)
    own_pairs: bool = False
    measures: list[str] = Field([])
    all_arms: dict[str, Any] = Field({})
    arms: dict[str, dict[str, Any]] = Field(min_length=2)
    note: str = ""

    @property
    def is_lesson(self) -> bool:
        """Whether it is of a lesson's stage, which has seeds of its own and measures itself."""
        return ":" in self.stage

    @property
    def is_measured_on_pairs(self) -> bool:
        """Whether the project's pairs have to be there."""
        return not (self.is_lesson or self.own_pairs or self.stage == "pretrain_critic")

    @property
    def stage_name(self) -> str:
        """The stage without its file, as its section of params.yaml and its model are called."""
        return self.stage.rpartition(":")[2]

    def experiments(
        self, common: Mapping[str, Any], settings: Mapping[str, Any], seeds: list[int]
    ) -> list[Experiment]:
        """An arm's: one for each seed, or a lesson's with all of them."""
        if self.is_lesson:
            of_lesson = overrides({**settings, f"{self.stage_name}.seeds": seeds})
            return [Experiment(stage=self.stage, overrides=of_lesson)]
        return [experiment(self.stage, {**common, **settings}, seed) for seed in seeds]


class Questions(StrictModel):
    """The file: the seeds of every arm, what all experiments set, and the questions by name."""

    seeds: list[int]
    common: dict[str, Any]
    questions: dict[str, Question]


def answer(names: Iterable[str], side_by_side: int = 1, again: bool = False) -> None:
    """Run what is missing for the named questions, or for all, and write the page.

    `again` removes their answers and experiments first. `side_by_side` experiments share the
    machine's cores, unless OMP_NUM_THREADS is set. Raises `UserError` for a wrong name.
    """
    file = Questions(**yaml.safe_load(QUESTIONS.read_text("utf-8")))
    names = list(names) or list(file.questions)
    for name in names:
        if name not in file.questions:
            raise one_of("question", name, file.questions)
    results: dict[str, Any] = read_json(RESULTS) if RESULTS.is_file() else {}
    if again:
        remove(e for name in names for arm in arms_of(file, name).values() for e in arm)
        results = {name: result for name, result in results.items() if name not in names}
        write_json(RESULTS, results)
    for name in names:
        question, arms = file.questions[name], arms_of(file, name)
        key = {arm: [e.name for e in experiments] for arm, experiments in arms.items()}
        if results.get(name, {}).get("experiments") == key:
            print(f"{name}: answered already; --again answers it anew")
            continue
        if question.is_measured_on_pairs:
            Manifest.read(PAIRS)  # what models are measured on: complain before the training
        run_all((e for experiments in arms.values() for e in experiments), side_by_side, anew=again)
        results[name] = {"experiments": key, **measure(name, question, arms)}
        write_json(RESULTS, results)
        atomic_write(PAGE, page(file, results))
    atomic_write(PAGE, page(file, results))
    print(f"look at {PAGE}")


def arms_of(file: Questions, name: str) -> dict[str, list[Experiment]]:
    """The experiments of each arm of a question: one for each seed, or a lesson's with all."""
    question = file.questions[name]
    return {
        arm: question.experiments(file.common, {**question.all_arms, **sets}, file.seeds)
        for arm, sets in question.arms.items()
    }


def experiment(stage: str, settings: Mapping[str, Any], seed: int) -> Experiment:
    """The training of `stage` with these settings; the seed is of this stage, not of its data."""
    return Experiment(stage=stage, overrides=[*overrides(settings), f"+{stage}.seed={seed}"])


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings by their dotted keys as DVC takes them; a key with a + is new in params.yaml."""
    return [f"{key}={hydra_value(value)}" for key, value in settings.items()]


def measure(name: str, question: Question, arms: dict[str, list[Experiment]]) -> dict[str, Any]:
    """Measure every arm's models; returns values (seeds x photos) by size, and seconds.

    Draws a picture of the first seed's models where an arm differs significantly from the base.
    """
    values: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    grids: dict[int | str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(len(next(iter(arms.values())))):
            models = {arm: Path(folder) / experiments[i].name for arm, experiments in arms.items()}
            pairs = Path(folder, "pairs") if question.own_pairs else PAIRS
            if question.own_pairs:
                first = next(iter(arms.values()))[i].name
                dvc("get", ".", PAIRS, "--rev", first, "-o", pairs, "--force")
            for arm, experiments in arms.items():
                model = f"models/{question.stage_name}"
                dvc("get", ".", model, "--rev", experiments[i].name, "-o", models[arm], "--force")
            for px in [""] if question.is_lesson else question.measured_at:
                scores, grid = _measure_models(models, px, pairs)
                grids.setdefault(px, grid)
                for arm, by_measure in scores.items():
                    for what in question.measures or by_measure:
                        by_arm = values.setdefault(str(px), {}).setdefault(arm, {})
                        by_arm.setdefault(what, []).extend(by_measure[what])
    for px, grid in grids.items():
        _write_picture(_picture(name, px), grid if is_significant(values[str(px)]) else None)
    times = {arm: [seconds(e) for e in experiments] for arm, experiments in arms.items()}
    return {"seconds": times, "values": values}


def is_significant(arms: Mapping[str, Mapping[str, Values]]) -> bool:
    """Whether the first metric, which is the PSNR, of any arm differs from the base.

    Of several metrics one would too often differ by chance.
    """
    base, *others = arms.values()
    metric = next(iter(base))
    return any(bootstrap_difference(arm[metric], base[metric]).significant for arm in others)


def _measure_models(
    models: dict[str, Path], image_px: int | str, pairs: Path
) -> tuple[dict[str, dict[str, list[list[float]]]], Any]:
    """Each model's metrics, seeds x photos, and a grid of pictures.

    Of critics it is their accuracy alone, of lessons what their result says, without pictures.
    """
    if (next(iter(models.values())) / RESULT_FILE).is_file():
        return {
            arm: {s.measure: [[value] for value in s.values] for s in Result.read(model).scores}
            for arm, model in models.items()
        }, None
    if (next(iter(models.values())) / "metrics.json").is_file():  # of a critic
        accuracies = {
            a: float(read_json(m / "metrics.json")["accuracy"]) for a, m in models.items()
        }
        return {arm: {"accuracy": [[accuracy]]} for arm, accuracy in accuracies.items()}, None
    from lessonpipe.report.evaluation import EvaluationParams, evaluate_folders
    from tasks.pipeline import params

    p = params.load(EvaluationParams, "evaluate", partly=True).model_copy(update={"grid_rows": 3})
    scores, grid = evaluate_folders(models, pairs, int(image_px), p)
    return {
        arm: {m: [v] for m in METRICS if (v := scores[arm].by_photo(m))} for arm in models
    }, grid


def _picture(name: str, px: int | str) -> Path:
    return PICTURES / f"{name}_{px}.jpg"


def _write_picture(path: Path, grid: Any) -> None:
    """Write the grid as a JPEG; without one, remove an earlier answer's."""
    if grid is None:
        path.unlink(missing_ok=True)
        return
    from lessonpipe.data.pictures import as_jpeg

    atomic_write(path, as_jpeg(grid.picture()))


def page(file: Questions, results: dict[str, Any]) -> str:
    """All answers so far, in the order of the questions, as Markdown."""
    parts = [INTRODUCTION.format(seeds=len(file.seeds)).rstrip()]
    for name, question in file.questions.items():
        if name not in results:
            continue
        times = {arm: sum(s) / len(s) for arm, s in results[name]["seconds"].items()}
        parts.append(f"## {question.asks}\n\n`python -m flows ablations {name} --again`")
        for px, arms in results[name]["values"].items():
            size = f"At {px} pixels:\n\n" if px else ""
            parts.append(f"{size}{ablation_table(arms, times).markdown()}")
            picture = _picture(name, px)
            if picture.is_file():
                parts.append(f"![{question.asks}]({picture.relative_to(PAGE.parent).as_posix()})")
        if question.note:
            parts.append(question.note)
    asked = {name: q.asks for name, q in file.questions.items() if name not in results}
    if asked:
        rows = [f"- {asks} `python -m flows ablations {name}`" for name, asks in asked.items()]
        parts += ["## Not run yet", "Each command answers one of these questions:"]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"
