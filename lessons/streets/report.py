"""The result of streets: accuracy and mean IoU of both networks, and what they predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lessonpipe.data.pictures import as_jpeg, to_picture
from lessonpipe.io.atomic import read_json
from lessonpipe.nets.io import write_model
from lessonpipe.report.result import Result, Score, write_plots
from lessons.streets import learn, plots
from lessons.streets.data import Pair, Sized, Streets
from lessons.streets.nets import Segmenter
from lessons.streets.predict import KIND

SYSTEMS = {"pretrained": "U-Net, pretrained encoder", "random": "U-Net, random weights"}
LESSON = 0.941  # CamVid, accuracy over the pixels that are not void
PAPER = 0.915  # the 100-layer Tiramisu's, on the test split
TEXT = (
    "Every pixel gets one of twelve classes; void is learnt like the others, and pixels that are "
    "void are not counted in accuracy and mean IoU. The same network learns "
    "twice, with equal steps: on an encoder that has seen ImageNet, and from random weights."
)
GENERATED = (
    " The streets are generated, a stand-in for CamVid: these figures say that the network and "
    "its training work, and nothing of real streets."
)


def write_result(
    data: Streets,
    nets: Mapping[str, Segmenter],
    seconds: Mapping[str, float],
    phase: Sized,
    *,
    goal: float | None,
    rows: int,
    out: Path,
) -> None:
    """Evaluate both networks at the size of `phase`; write the pretrained one, scores and plots.

    `nets` and `seconds` are by the keys of `SYSTEMS`; the comparison has so many `rows`.
    """
    source = read_json(data.folder / "streets.json")["source"]
    valid = data.split("valid", phase.image_px)
    scores: list[Score] = []
    ious: dict[str, list[float]] = {}
    about: dict[str, Any] = {}
    for system, title in SYSTEMS.items():
        counts = learn.confusion_matrix(nets[system], valid, phase.batch, data.worker)
        by_class = learn.ious(counts)
        ious[title] = by_class.tolist()
        values = {"accuracy": float(learn.accuracy(counts)), "mean IoU": float(by_class.nanmean())}
        if (data.folder / "test").is_dir():
            test = data.split("test", phase.image_px)
            counts = learn.confusion_matrix(nets[system], test, phase.batch, data.worker)
            values["accuracy, test split"] = float(learn.accuracy(counts))
        about = about or {"stage": "streets", "source": source, **values}
        parts = {"mean IoU": learn.by_class(by_class)}
        for measure, value in values.items():
            one = score(title, measure, value, seconds[system], source == "camvid", goal)
            scores.append(one.model_copy(update={"parts": parts.get(measure, {})}))
    write_model(out, nets["pretrained"], KIND, nets["pretrained"].config, about)
    files: dict[str, tuple[str | bytes, str]] = {
        "classes.jpg": (
            comparison(data, valid, nets, rows),
            "Validation photos, and their classes over them",
        ),
        "iou.svg": (plots.bars(ious), "Intersection over union of every class"),
    }
    Result(
        title="Streets",
        text=TEXT + (GENERATED if source == "scenes" else ""),
        scores=scores,
        plots=write_plots(out, files),
    ).write(out)


def score(
    system: str, measure: str, value: float, seconds: float, camvid: bool, goal: float | None
) -> Score:
    """Returns a score, with the course's on CamVid and with the goal on other data."""
    pretrained = system == SYSTEMS["pretrained"]
    reached = {"accuracy": LESSON, "accuracy, test split": PAPER}
    return Score(
        system=system,
        measure=measure,
        values=[value],
        seconds=[seconds],
        lesson=reached.get(measure) if camvid and pretrained else None,
        goal=goal if measure == "accuracy" and pretrained else None,
    )


def comparison(data: Streets, valid: Pair, nets: Mapping[str, Segmenter], rows: int) -> bytes:
    """Returns a JPEG: photos evenly spaced over the validation split, truth and predictions."""
    photos, truths = valid
    chosen = torch.linspace(0, len(photos) - 1, min(rows, len(photos))).long()
    predictions: dict[str, list[Tensor]] = {
        SYSTEMS[system]: list(learn.predict_masks(net, photos[chosen], data.worker))
        for system, net in nets.items()
    }
    pictures = [to_picture(x.float() / 255) for x in photos[chosen]]
    return as_jpeg(plots.comparison(pictures, truths[chosen], predictions))
