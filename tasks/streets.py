"""Teach a U-Net to name every pixel of street photos: data/streets -> models/streets.

    python -m tasks streets

Twice: on a pretrained encoder, and from random weights with as many steps.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from lessonpipe import cluster
from lessonpipe.config import StrictModel
from lessonpipe.data.augment import Augment
from lessonpipe.data.pictures import as_jpeg, to_picture
from lessonpipe.device import Precision, Worker
from lessonpipe.io.atomic import atomic_write, read_json
from lessonpipe.nets import UnetConfig
from lessonpipe.nets.io import write_model
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessonpipe.train.schedule import AdamWConfig
from lessons.result import LessonResult, Plot, Score
from lessons.streets import learn, plots
from lessons.streets.data import Sized, Streets
from lessons.streets.nets import Segmenter
from lessons.streets.predict import KIND
from tasks.pipeline.launch import TrainRun, launch

SYSTEMS = {"pretrained": "U-Net, pretrained encoder", "random": "U-Net, random weights"}
LESSON = 0.941  # CamVid, accuracy over the pixels that are not void
PAPER = 0.915  # the 100-layer Tiramisu's, on the test side
SAID = (
    "Every pixel gets one of eleven classes; what is void counts nowhere. The same network learns "
    "twice, with equal steps: on an encoder that has seen ImageNet, and from random weights."
)
DRAWN = (
    " The streets are generated, a stand-in for CamVid: these figures say that the network and "
    "its training work, and nothing of real streets."
)


class Params(StrictModel):
    """The network and its schedule; `rows` of the comparison picture."""

    seed: int
    precision: Precision
    net: UnetConfig
    train_bn: bool
    optim: AdamWConfig
    augment: Augment
    phases: list[Sized] = Field(min_length=1)
    random_max_lr: float = Field(gt=0)
    goal: float | None = Field(ge=0, le=1)
    rows: int = Field(ge=1)


def run(p: Params, data: Path = Path("data/streets"), out: Path = Path("models/streets")) -> None:
    """Train both and leave the pretrained one, with figures and pictures."""
    launch(train_worker, p, {"data": data}, out)


def schedule(p: Params, system: str) -> list[Sized]:
    """The phases; with random weights the same steps, in which everything learns."""
    if system == "pretrained":
        return p.phases
    return [
        phase.model_copy(update={"frozen": False, "max_lr": p.random_max_lr}) for phase in p.phases
    ]


def beginner(p: Params, system: str) -> learn.SegmenterLearner:
    """A new network; random weights come without statistics that batch norms could keep."""
    torch.manual_seed(p.seed)
    net = Segmenter(p.net, pretrained=system == "pretrained")
    return learn.SegmenterLearner(net, p.optim, train_bn=p.train_bn or system == "random")


def train_worker(run: TrainRun[Params]) -> None:
    """The training function, run once a worker: one system after the other."""
    p = run.params
    worker = Worker.current(p.precision)
    data = Streets(run.inputs["data"], p.augment, p.seed, worker)
    nets, histories, seconds = {}, {}, {}
    for system, title in SYSTEMS.items():
        learner = beginner(p, system)
        checkpoint = Checkpoint(run.scratch / system)
        if worker.rank == 0:
            print(title, flush=True)
        histories[system] = fit(
            learner,
            schedule(p, system),
            data,
            worker,
            seed=p.seed,
            checkpoint=checkpoint,
            report=cluster.report_metrics,
        )
        nets[system] = learner.net
        seconds[system] = (checkpoint.load() or {}).get("seconds", 0.0)
    if worker.rank == 0:
        for name, history in histories.items():
            run.save_history(history, f"history{'' if name == 'pretrained' else f'_{name}'}.csv")
        show(p, data, nets, seconds, run.out)


def show(
    p: Params, data: Streets, nets: dict[str, Segmenter], seconds: dict[str, float], out: Path
) -> None:
    """Judge both at the last phase's size; leave the model, figures and pictures."""
    last = p.phases[-1]
    source = read_json(data.folder / "streets.json")["source"]
    valid = data.split("valid", last.image_px)
    figures: list[Score] = []
    found: dict[str, list[float]] = {}
    about: dict[str, Any] = {}
    for system, title in SYSTEMS.items():
        counts = learn.confusion_matrix(nets[system], valid, last.batch, data.worker)
        ious = learn.ious(counts)
        found[title] = ious.tolist()
        values = {"accuracy": float(learn.accuracy(counts)), "mean IoU": float(ious.nanmean())}
        if (data.folder / "test").is_dir():
            test = data.split("test", last.image_px)
            counts = learn.confusion_matrix(nets[system], test, last.batch, data.worker)
            values["accuracy, test side"] = float(learn.accuracy(counts))
        about = about or {"stage": "streets", "source": source, **values}
        parts = {"mean IoU": learn.by_class(ious)}
        for measure, value in values.items():
            one = figure(title, measure, value, seconds[system], source == "camvid", p.goal)
            figures.append(one.model_copy(update={"parts": parts.get(measure, {})}))
    write_model(out, nets["pretrained"], KIND, nets["pretrained"].config, about)
    atomic_write(out / "classes.jpg", drawn(p, data, valid, nets))
    atomic_write(out / "iou.svg", plots.bars(found))
    LessonResult(
        title="Streets",
        text=SAID + (DRAWN if source == "scenes" else ""),
        figures=figures,
        pictures=[
            Plot(file="classes.jpg", words="Validation photos, and their classes over them"),
            Plot(file="iou.svg", words="Intersection over union of every class"),
        ],
    ).write(out)


def figure(
    system: str, measure: str, value: float, seconds: float, camvid: bool, goal: float | None
) -> Score:
    """A figure, beside the lesson's on CamVid, and beside the goal on other data."""
    pretrained = system == SYSTEMS["pretrained"]
    reached = {"accuracy": LESSON, "accuracy, test side": PAPER}
    return Score(
        system=system,
        measure=measure,
        values=[value],
        seconds=[seconds],
        lesson=reached.get(measure) if camvid and pretrained else None,
        goal=goal if measure == "accuracy" and pretrained else None,
    )


def drawn(
    p: Params, data: Streets, valid: tuple[Tensor, Tensor], nets: dict[str, Segmenter]
) -> bytes:
    """Photos from all over the validation side with truth and answers, as a JPEG file."""
    count = len(valid[0])
    rows = torch.linspace(0, count - 1, min(p.rows, count)).long()
    photos = valid[0][rows]
    said = {
        SYSTEMS[system]: list(learn.predict_masks(net, photos, data.worker))
        for system, net in nets.items()
    }
    seen = [to_picture(x.float() / 255) for x in photos]
    return as_jpeg(plots.comparison(seen, valid[1][rows], said))
