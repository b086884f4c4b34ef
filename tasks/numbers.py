"""Teach networks to count in words, with several seeds: data/numbers -> models/numbers.

python -m tasks numbers
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from lessonpipe.config import StrictModel
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.train.fit import as_csv, last_row
from lessonpipe.train.schedule import AdamWConfig
from lessons.numbers import data, learn, plots, words
from lessons.numbers.build import Kind, build
from lessons.numbers.generate import next_number_accuracy
from lessons.numbers.streams import SequencePhase
from lessons.result import LessonResult, Plot, Score
from tasks.pipeline import launch

TITLES = {
    "unrolled": "0: three steps written out",
    "loop": "1: the same as a loop",
    "seq2seq": "2: predicts after every word",
    "stateful": "3: keeps its state",
    "rnn": "4: the framework's RNN",
    "gru": "5: two-layer GRU",
    "one gru": "one GRU",
    "pointer gru without copy": "one GRU that looks back",
    "pointer gru": "one GRU that looks back and copies",
}
TEXT = (
    "Networks read one ... eight thousand and go on in numbers whose first word they never saw "
    "there. Keeping the state, and gates to keep it through, is what the lesson's six add one by "
    "one. What a GRU still gets wrong is most of what comes after the new words, which it has to "
    "carry along. One that looks up what it said at the same place of the number before gets it "
    "right; that it may copy the word adds little. What is left are the first words of each of the "
    "64 streams, which start in the middle of a number and cannot be known."
)
SETTLED = 16  # words of a stream, after which the number before is known


class Run(SequencePhase):
    """One network and its schedule; `lesson` is what the lesson reached."""

    net: Kind
    dropout: float = Field(0.0, ge=0, lt=1)
    lesson: float | None = None
    goal: float | None = None


class Params(StrictModel):
    """The networks, the last of which is kept, and the seeds each is trained with."""

    seeds: list[int] = Field(min_length=1)
    optim: AdamWConfig
    runs: list[Run] = Field(min_length=1)


@dataclass(frozen=True)
class Job:
    """One training."""

    run: Run
    seed: int


def run(p: Params, text: Path = Path("data/numbers"), out: Path = Path("models/numbers")) -> None:
    """Train all, and leave the last network, figures and pictures."""
    corpus = data.load(text)
    one = partial(train_one, corpus=corpus, optim=p.optim)
    inputs = {"text": text}
    with (
        launch.map_trainings(one, jobs(p), p, inputs.values(), out.name) as done,
        atomic_folder(out) as draft,
    ):
        kept, answer = p.runs[-1], done[name(p.runs[-1], p.seeds[0])]
        about = {"stage": "numbers", "system": TITLES[kept.net], "accuracy": answer["accuracy"]}
        net = build(**answer["build"])
        net.load_state_dict(answer["net"])
        write_model(draft, net, "numbers", answer["build"], about)
        atomic_write(draft / "history.csv", as_csv(answer["history"]))
        figures = [figure(one, p, done) for one in p.runs]
        seen = draw(p, corpus, done, figures, draft)
        if "next" in answer:
            figures += closer(kept, p, done)
        LessonResult(title="Human numbers", text=TEXT, figures=figures, pictures=seen).write(draft)
        lineage.stamp(draft, p.model_dump(mode="json"), inputs)


def jobs(p: Params) -> dict[str, Job]:
    """Every training, the longest first."""
    runs = {name(one, seed): Job(one, seed) for one in reversed(p.runs) for seed in p.seeds}
    return dict(sorted(runs.items(), key=lambda item: -item[1].run.epochs))


def name(one: Run, seed: int) -> str:
    """A training by its name."""
    return f"{TITLES[one.net]}, seed {seed}"


def train_one(job: Job, corpus: data.Corpus, optim: AdamWConfig) -> dict[str, Any]:
    """What a training leaves: history, weights, accuracy, seconds, and which words are right."""
    torch.manual_seed(job.seed)
    how: dict[str, Any] = {"kind": job.run.net, "dropout": job.run.dropout}
    net = build(**how)
    history, seconds = learn.train_network(net, corpus, job.run, optim, seed=job.seed)
    answer = {
        "history": history,
        "net": net.state_dict(),
        "build": how,
        "accuracy": last_row(history).get("valid_accuracy", 0.0),
        "seconds": seconds,
    }
    if not learn.predicts_once(net):
        answer["right"] = learn.correct_words(net, corpus, job.run)
        answer["next"] = next_number_accuracy(net, range(corpus.seen + 1, words.LARGEST))
    return answer


def figure(one: Run, p: Params, done: dict[str, dict[str, Any]]) -> Score:
    """A run's line of the table."""
    answers = [done[name(one, seed)] for seed in p.seeds]
    return Score(
        system=TITLES[one.net],
        measure="accuracy",
        values=[a["accuracy"] for a in answers],
        seconds=[a["seconds"] for a in answers],
        lesson=one.lesson,
        goal=one.goal,
    )


def closer(one: Run, p: Params, done: dict[str, dict[str, Any]]) -> list[Score]:
    """More of the kept network: once a stream is under way, and counting on from one number."""
    answers = [done[name(one, seed)] for seed in p.seeds]
    late = [float(a["right"][:, SETTLED:].float().mean()) for a in answers]
    title = TITLES[one.net]
    return [
        Score(system=title, measure=f"accuracy after {SETTLED} words of a stream", values=late),
        Score(
            system=title,
            measure="next number right, from one unseen number",
            values=[a["next"] for a in answers],
        ),
    ]


def draw(
    p: Params,
    corpus: data.Corpus,
    done: dict[str, dict[str, Any]],
    figures: list[Score],
    folder: Path,
) -> list[Plot]:
    """The accuracies beside the lesson's, by kind of word and by worker, as files in `folder`."""
    rights = {
        TITLES[one.net]: torch.stack([done[name(one, seed)]["right"] for seed in p.seeds])
        for one in p.runs
        if "right" in done[name(one, p.seeds[0])]
    }
    kinds = {title: learn.accuracy_by_kind(right, corpus) for title, right in rights.items()}
    files = {
        "accuracy.svg": (
            plots.accuracies([(f.system, f.values, f.lesson) for f in figures]),
            "Accuracy of each network, a dot a seed, beside the lesson's",
        ),
        "kinds.svg": (
            plots.kinds(kinds),
            "Accuracy by what the word does in its number, of those that predict every word",
        ),
        "places.svg": (
            plots.places({title: right.float().mean((0, 1)) for title, right in rights.items()}),
            "Accuracy by place in a stream: what comes first cannot be known",
        ),
    }
    for file, (content, _) in files.items():
        atomic_write(folder / file, content)
    return [Plot(file=file, words=told) for file, (_, told) in files.items()]
