"""What is shown before a training is what the training gets."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from lessonpipe.app.cli import main
from lessonpipe.app.project.show import _good_side, batch_sheet
from lessonpipe.data.manifest import Manifest
from lessonpipe.data.pictures import save_png, to_picture
from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from lessons.bedrooms import data as bedrooms
from lessons.digits import data as digits
from lessons.numbers import data as numbers
from lessons.numbers import plots
from lessons.numbers.words import WORDS
from lessons.streets.data import save_labels
from tasks.pipeline import params
from tests.conftest import ROOT, make_picture
from tests.small import unet_config

PX = 64
NET = unet_config(output="correction").model_dump(mode="json")
CRITIC = {"kind": "encoder", "encoder": "test_efficientnet", "depth": 2, "width": 8}


@pytest.fixture
def project(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pairs, pictures that were "generated", and params of small networks."""
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    phase = {"image_px": PX, "batch": 8, "epochs": 1, "max_lr": 1e-3}
    train = {"pretrained": False, "phases": [phase, phase | {"batch": 4}]}
    views = {"flip": True, "rotate": 10, "light": 0.2}
    document["pretrain_generator"] |= {"net": NET, "augment": views, **train}
    document["pretrain_critic"] |= {"net": CRITIC, **train}
    for run in document["digits"]["runs"] + document["numbers"]["runs"]:
        run["batch"] = 16
    document["streets"]["phases"][0] |= {"image_px": [64, 96]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/crappify").symlink_to(pairs)
    for i, pair in enumerate(Manifest.read(pairs).pairs):
        picture = Image.new("RGB", (PX, PX), (10 * i, 0, 255))
        save_png(picture, tmp_path / f"data/save_preds/{pair.name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class FirstStepError(Exception):
    """Ends a training before it learns."""


def first_batch(stage: str, phase: int) -> tuple[Tensor, Tensor]:
    """What the first step of a phase gets from `fit`."""
    module = importlib.import_module(f"tasks.{stage}")
    p = params.load_stage(module, stage)
    learner, data, worker = module.build(p)
    phases = [at.model_copy(update={"epochs": int(i == phase)}) for i, at in enumerate(p.phases, 1)]
    got = []

    def step(x: Tensor, y: Tensor, *_: object) -> None:
        got.append((x, y))
        raise FirstStepError

    learner.train_step = step
    with pytest.raises(FirstStepError):
        fit(learner, phases, data, worker, seed=p.seed, checkpoint=Checkpoint(None))
    return got[0]


def cells(sheet: Image.Image) -> list[np.ndarray]:
    """The pictures of a grid, row by row."""
    array = np.asarray(sheet)
    tops, lefts = (
        range(first, array.shape[axis] - PX, PX + 6) for axis, first in ((0, 28), (1, 6))
    )
    return [array[top : top + PX, left : left + PX] for top in tops for left in lefts]


@pytest.mark.parametrize(
    ("what", "stage", "phase"),
    [
        ("augmented", "pretrain_generator", 1),
        ("augmented", "pretrain_generator", 2),
        ("critic", "pretrain_critic", 1),
    ],
)
def test_it_is_the_batch_that_the_first_step_of_training_gets(
    project: Path, what: str, stage: str, phase: int
) -> None:
    x, y = first_batch(stage, phase)
    shown = cells(batch_sheet(what, phase))
    wanted = [np.asarray(to_picture(one)) for pair in zip(x, y, strict=True) for one in pair]
    assert len(shown) == len(wanted) == 2 * len(x)
    assert all(np.array_equal(*both) for both in zip(shown, wanted, strict=True))
    if what == "critic":
        assert all((cell[..., 1:] == (0, 255)).all() for cell in shown[::2]), "generated: left"


def test_pairs_are_those_of_the_validation_and_not_augmented(project: Path, pairs: Path) -> None:
    shown = cells(batch_sheet("pairs"))
    valid = Manifest.read(pairs).split("valid")
    photos = [np.asarray(Image.open(pairs / pair.good).convert("RGB")) for pair in valid]
    assert len(shown) == 2 * len(photos)
    assert all(np.array_equal(*both) for both in zip(shown[1::2], photos, strict=True))


def test_files_are_shown_as_they_were_made(project: Path, pairs: Path) -> None:
    assert main(["show", "crappify"]) == 0
    with Image.open("reports/show/crappify.png") as sheet:
        cell = sheet.crop((6 + 288 + 6, 28, 6 + 2 * 288 + 6, 28 + 288)).resize((PX, PX))
    photo = Image.open(pairs / Manifest.read(pairs).split("train")[0].good).convert("RGB")
    assert np.abs(np.asarray(cell, float) - np.asarray(photo)).mean() < 3


def test_the_good_side_is_called_what_it_is(tmp_path: Path, pairs: Path) -> None:
    manifest = Manifest.read(pairs)
    assert _good_side(pairs) == "photo"
    dataclasses.replace(manifest, target=["edges"]).write(tmp_path)
    assert _good_side(tmp_path) == "target"


def make_lessons_data(folder: Path) -> None:
    """A little of what each lesson's data stage would leave."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (20, 28, 28), generator=rng).to(torch.uint8)
    y = torch.arange(20) % 10
    digits.save(
        {"train_x": x, "train_y": y, "valid_x": x.clone(), "valid_y": y.clone()}, folder / "digits"
    )
    rooms = torch.randint(0, 256, (40, 3, 32, 32), generator=rng).to(torch.uint8)
    bedrooms.save({"train": rooms, "valid": rooms[:8].clone()}, folder / "bedrooms")
    numbers.save(numbers.made(400, 500), folder / "numbers")
    for side in ("train", "valid"):
        (folder / f"streets/{side}_labels").mkdir(parents=True)
        (folder / f"streets/{side}").mkdir()
        for i in range(4):
            make_picture(96, 64, seed=i).save(folder / f"streets/{side}/{i}.png")
            labels = save_labels(np.full((64, 96), i, np.uint8))
            (folder / f"streets/{side}_labels/{i}.png").write_bytes(labels)


@pytest.mark.parametrize(
    ("lesson", "size"),
    [
        ("digits", (8 * (84 + 6) + 6, 2 * (84 + 6 + 22 + 6))),
        ("streets", (2 * (96 + 6) + 6, 4 * (64 + 6) + 28 + 12 * 24 + 6)),
        ("bedrooms", (8 * 32 + 12, 4 * 32 + 34)),
        ("numbers", None),
    ],
)
def test_each_lesson_shows_its_first_batch(
    project: Path,
    lesson: str,
    size: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_lessons_data(project / "data")
    read: list[str] = []
    draw = plots.batch

    def spy(x: Tensor, y: Tensor) -> Image.Image:
        read.extend(" ".join(WORDS[i] for i in row) for row in (x[0].tolist(), y[0].tolist()))
        return draw(x, y)

    monkeypatch.setattr(plots, "batch", spy)
    assert main(["show", lesson]) == 0
    assert capsys.readouterr().out == f"look at reports/show/{lesson}.png\n"
    with Image.open(f"reports/show/{lesson}.png") as sheet:
        assert size is None or sheet.size == size
        assert len(np.unique(np.asarray(sheet))) > 2
    if lesson == "numbers":
        assert read == ["xxbos one ,", "one , two"]


@pytest.mark.parametrize(
    ("what", "cure"),
    [
        ("crappify", "crappify"),
        ("augmented", "crappify"),
        ("critic", "save_preds"),
        ("digits", "lessons/dvc.yaml:digits_data"),
        ("streets", "lessons/dvc.yaml:streets_data"),
        ("bedrooms", "lessons/dvc.yaml:bedrooms_data"),
        ("numbers", "lessons/dvc.yaml:numbers_data"),
    ],
)
def test_what_is_not_there_yet_is_told_with_the_command_that_makes_it(
    project: Path, what: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data").rename("elsewhere")
    assert main(["show", what]) == 2
    assert capsys.readouterr().err.endswith(f"; run `dvc repro {cure}` first\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["augmented", "--phase", "3"], "pretrain_generator has 2 phases; there is no phase 3"),
        (["numbers", "--phase", "0"], "numbers has 9 runs; there is no phase 0"),
        (
            ["pairs", "-o", "params.yaml"],
            "-o params.yaml: the name of a picture, such as pairs.jpg",
        ),
        (["pairs", "-o", "mine.png"], "mine.png would be replaced; add --overwrite"),
    ],
)
def test_a_wrong_phase_or_name_is_told_and_writes_nothing(
    project: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.png").touch()
    make_lessons_data(project / "data")
    assert main(["show", *args]) == 2
    assert message in capsys.readouterr().err
    assert not Path("reports").exists() and not Path("mine.png").read_bytes()
