"""The result of digits: accuracies, learning rates, mistakes and loss surfaces."""

from pathlib import Path

import torch

from lessonpipe.data.pictures import as_jpeg
from lessonpipe.device import Worker
from lessonpipe.report.curves import rate_curve
from lessonpipe.report.result import Result, Score, write_plots
from lessonpipe.train.lr_find import lr_find
from lessons.digits import learn, plots
from lessons.digits.data import Digits
from lessons.digits.nets import DigitNet, DigitNetConfig
from lessons.digits.runs import TITLES, Run, Surface, surface_name
from lessons.sweep import Results, SweepParams, accuracy_scores, results_of

TEXT = (
    "Five convolutions of stride 2 read digits; a block behind each, whose answer is added to what "
    "went in, reads them better. The dense network is the same block, which concatenates instead. "
    "The landscapes are the loss around two trained networks of the same depth, one without "
    "shortcuts: the narrower a valley is, the harder it is to find."
)


def write_result(
    sweep: SweepParams[Run],
    surface: Surface,
    results: Results,
    digits: Digits,
    best: DigitNet,
    out: Path,
) -> None:
    """Write the scores of all networks, and the plots, those of mistakes by the `best` one."""
    probabilities = learn.predict_probabilities(best, digits["valid_x"])
    labels = digits["valid_y"]
    surfaces = {TITLES[net]: results[surface_name(net)]["surface"] for net in surface.nets}
    files: dict[str, tuple[str | bytes, str]] = {
        "rates.svg": (
            learning_rates(sweep, digits),
            "Learning rates tried for the first network of the table",
        ),
        "confusion.svg": (
            plots.confusion_picture(plots.confusion(probabilities.argmax(1), labels)),
            "What the best network takes for what, of 10,000 digits it never saw",
        ),
        "worst.jpg": (
            as_jpeg(plots.worst(digits["valid_x"], probabilities, labels)),
            "The mistakes it was surest of: what was meant, as what, how sure",
        ),
        "surfaces.svg": (
            plots.landscapes(surfaces, surface.extent),
            f"The loss around networks of {surface.depth} layers, with and without shortcuts",
        ),
    }
    Result(
        title="Digits",
        text=TEXT,
        scores=[*accuracy_scores(sweep.runs, sweep.seeds, results), *_errors(sweep, results)],
        plots=write_plots(out, files),
    ).write(out)


def _errors(sweep: SweepParams[Run], results: Results) -> list[Score]:
    """The training error of each network that learnt from some of the digits."""
    return [
        Score(system=run.system, measure="training error", values=[r["error"] for r in trained])
        for run in sweep.runs
        if "error" in (trained := results_of(run, sweep.seeds, results))[0]
    ]


def learning_rates(sweep: SweepParams[Run], digits: Digits) -> str:
    """Returns the SVG of the learning-rate finder, before the first network's training."""
    run, seed = sweep.runs[0], sweep.seeds[0]
    torch.manual_seed(seed)
    worker = Worker.current("fp32")
    learner = learn.Classifier(DigitNet(DigitNetConfig(kind=run.net)), sweep.optim)
    data = learn.in_memory(digits, seed, worker)
    curve = lr_find(learner, data, run, worker, seed=seed)
    return rate_curve(TITLES[run.net], curve.rates, curve.losses, curve.suggest())
