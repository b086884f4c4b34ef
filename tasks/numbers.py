"""Trains networks to count in words, with several seeds: data/numbers -> models/numbers.

python -m tasks numbers
"""

from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lessonpipe.device import Worker
from lessonpipe.inference import lineage
from lessonpipe.io.atomic import atomic_folder, atomic_write
from lessonpipe.nets.io import write_model
from lessonpipe.report.measured import keep_measured
from lessonpipe.train.fit import as_csv, last_row
from lessonpipe.train.schedule import AdamWConfig
from lessons.numbers import data, learn, report, words
from lessons.numbers.build import build as build_net
from lessons.numbers.classify import Classify, tens_accuracy
from lessons.numbers.generate import next_number_accuracy
from lessons.numbers.nets import TorchRNN
from lessons.numbers.runs import Run
from lessons.numbers.streams import StreamData
from lessons.sweep import Job, SweepParams, job_name, jobs, longest_first, seconds_of
from tasks.pipeline import launch


class Params(SweepParams[Run]):
    """The networks, the last of which is the model, and the seeds each is trained with.

    With `classify` the framework's cells are then taught to tell the tens of some numbers.
    """

    classify: Classify | None = None


def run(p: Params, text: Path = Path("data/numbers"), out: Path = Path("models/numbers")) -> None:
    """Train all, and leave the last network, scores and plots."""
    corpus = data.load(text)
    train = partial(train_one, corpus=corpus, optim=p.optim, classify=p.classify)
    trainings = longest_first(jobs(p.runs, p.seeds))
    inputs = {"text": text}
    with (
        launch.map_trainings(train, trainings, p, inputs.values(), out.name) as results,
        atomic_folder(out, fsync=True) as draft,
    ):
        last = p.runs[-1]
        result = results[job_name(last, p.seeds[0])]
        net = build_net(**result["build"])
        net.load_state_dict(result["net"])
        about = {"stage": "numbers", "system": last.system, "accuracy": result["accuracy"]}
        write_model(draft, net, "numbers", result["build"], about)
        atomic_write(draft / "history.csv", as_csv(result["history"]))
        report.write_result(p, results, corpus, draft)
        lineage.stamp(draft, p.model_dump(mode="json"), inputs)
        keep_measured(launch.LIVE / out.name, seconds_of(results))


def build(
    p: Params, run: Run, text: Path = Path("data/numbers")
) -> tuple[learn.LanguageModelLearner, StreamData, Worker]:
    """A network by its first seed, the data, and the worker: all that a first step needs."""
    torch.manual_seed(p.seed)
    return learn.build(build_net(run.net, run.dropout), data.load(text), p.optim, p.seed)


def train_one(
    job: Job[Run], corpus: data.Corpus, optim: AdamWConfig, classify: Classify | None = None
) -> dict[str, Any]:
    """Returns history, weights, accuracy, seconds, and which words are right, of a training."""
    torch.manual_seed(job.seed)
    how: dict[str, Any] = {"kind": job.run.net, "dropout": job.run.dropout}
    net = build_net(**how)
    history, seconds = learn.train_network(net, corpus, job.run, optim, seed=job.seed)
    result = {
        "history": history,
        "net": net.state_dict(),
        "build": how,
        "accuracy": last_row(history).get("valid_accuracy", 0.0),
        "seconds": seconds,
    }
    if not learn.predicts_once(net):
        result["right"] = learn.correct_words(net, corpus, job.run)
        result["next"] = next_number_accuracy(net, range(corpus.seen + 1, words.LARGEST))
    if classify and isinstance(net, TorchRNN):
        body = deepcopy(net)
        result["tens"] = tens_accuracy(body, classify, optim, seen=corpus.seen, seed=job.seed)
    return result
