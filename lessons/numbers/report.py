"""The result of numbers: accuracies, by kind of word and by position in a stream."""

from pathlib import Path

import torch

from lessonpipe.report.result import Result, Score, write_plots
from lessons.numbers import learn, plots
from lessons.numbers.data import Corpus
from lessons.numbers.runs import Run
from lessons.sweep import Results, SweepParams, accuracy_scores, results_of

TEXT = (
    "Networks read one ... eight thousand and go on in numbers whose first word they never saw "
    "there. Keeping the state, and gates to keep it through, is what the lesson's six add one by "
    "one. What a GRU still gets wrong is most of what comes after the new words, which it has to "
    "carry along. One that looks up what it said at the same place of the number before gets it "
    "right; that it may copy the word adds little. What is left are the first words of each of the "
    "64 streams, which start in the middle of a number and cannot be known."
)
WARMUP_WORDS = 16  # of a stream, after which the number before is known


def write_result(sweep: SweepParams[Run], results: Results, corpus: Corpus, out: Path) -> None:
    """Write the scores of all networks, more of the last one, and the plots."""
    accuracies = accuracy_scores(sweep.runs, sweep.seeds, results)
    correct = {  # S T of every seed, of networks that predict after every word
        run.system: torch.stack([result["right"] for result in trained])
        for run in sweep.runs
        if "right" in (trained := results_of(run, sweep.seeds, results))[0]
    }
    kinds = {system: learn.accuracy_by_kind(right, corpus) for system, right in correct.items()}
    files: dict[str, tuple[str | bytes, str]] = {
        "accuracy.svg": (
            plots.accuracies([(s.system, s.values, s.lesson) for s in accuracies]),
            "Accuracy of each network, a dot a seed, beside the lesson's",
        ),
        "kinds.svg": (
            plots.kinds(kinds),
            "Accuracy by what the word does in its number, of those that predict every word",
        ),
        "places.svg": (
            plots.positions({s: right.float().mean((0, 1)) for s, right in correct.items()}),
            "Accuracy by place in a stream: what comes first cannot be known",
        ),
    }
    Result(
        title="Human numbers",
        text=TEXT,
        scores=[
            *accuracies,
            *counting_scores(sweep.runs[-1], sweep.seeds, results),
            *tens_scores(sweep, results),
        ],
        plots=write_plots(out, files),
    ).write(out)


def counting_scores(run: Run, seeds: list[int], results: Results) -> list[Score]:
    """Returns how well a network counts on: late in a stream, and from one unseen number.

    There are none of a network that does not predict after every word.
    """
    trained = results_of(run, seeds, results)
    if "right" not in trained[0]:
        return []
    late = [float(result["right"][:, WARMUP_WORDS:].float().mean()) for result in trained]
    return [
        Score(
            system=run.system,
            measure=f"accuracy after {WARMUP_WORDS} words of a stream",
            values=late,
        ),
        Score(
            system=run.system,
            measure="next number right, from one unseen number",
            values=[result["next"] for result in trained],
        ),
    ]


def tens_scores(sweep: SweepParams[Run], results: Results) -> list[Score]:
    """Returns how well each network that was taught to tells the tens of numbers."""
    return [
        Score(system=run.system, measure="tens told right", values=[r["tens"] for r in trained])
        for run in sweep.runs
        if "tens" in (trained := results_of(run, sweep.seeds, results))[0]
    ]
