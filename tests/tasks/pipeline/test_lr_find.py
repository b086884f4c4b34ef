"""`lessonpipe lr-find STAGE`, in a project with a few tiny pairs, digits, streets and numbers."""

import csv
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from lessonpipe.app.cli import main
from lessonpipe.train import lr_find
from lessons.digits import data as digits
from lessons.numbers import data as numbers
from lessons.streets.data import save_labels
from lessons.streets.nets import Segmenter
from tasks import streets
from tests.conftest import ROOT, make_picture
from tests.small import unet_config

STEPS = 25  # of the hundred


@pytest.fixture
def project(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs, params of tiny networks, and fewer rates to try."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    phase = {"image_px": 32, "batch": 2, "epochs": 1, "max_lr": 1e-3}
    params["pretrain_generator"] |= {
        "net": unet_config(output="correction").model_dump(mode="json"),
        "pretrained": False,
        "phases": [phase, phase | {"frozen": True}],
    }
    params["streets"]["net"] |= {"encoder": "test_efficientnet", "widths": [16, 16, 8, 8]}
    params["streets"]["phases"] = [phase | {"image_px": [64, 64]}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/crappify").symlink_to(pairs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streets, "Segmenter", lambda net, **_: Segmenter(net, pretrained=False))
    monkeypatch.setattr(lr_find, "lr_find", partial(lr_find.lr_find, steps=STEPS))
    return tmp_path


def make_data(folder: Path) -> None:
    """A little of what the lessons' data stages leave."""
    x = torch.randint(0, 256, (160, 28, 28), dtype=torch.uint8)
    y = torch.arange(160) % 10
    valid = {"valid_x": x[:10].clone(), "valid_y": y[:10].clone()}
    digits.save({"train_x": x, "train_y": y, **valid}, folder / "digits")
    numbers.save(numbers.made(400, 500), folder / "numbers")
    (folder / "streets/train_labels").mkdir(parents=True)
    (folder / "streets/train").mkdir()
    for i in range(2):
        picture = make_picture(64, 64, seed=i)
        picture.save(folder / f"streets/train/{i}.png")
        labels = save_labels(torch.full((64, 64), i, dtype=torch.uint8).numpy())
        (folder / f"streets/train_labels/{i}.png").write_bytes(labels)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ["pretrain_generator", "--phase", "2"],
            "pretrain_generator, phase 2 at 32: max_lr valley",
        ),
        (["digits", "--end-lr", "100"], "digits, plain CNN, 3 epochs: max_lr valley "),
        (["streets"], "streets, phase 1 at 64: max_lr valley "),
        (["numbers", "--phase", "6"], "numbers, 5: two-layer GRU: max_lr valley "),
    ],
)
def test_it_suggests_a_rate_plots_the_curve_and_trains_nothing(
    project: Path, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_data(project / "data")
    assert main(["lr-find", *args]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(told)
    rows = list(csv.DictReader((project / f"reports/lr_find/{args[0]}.csv").open()))
    end = 100 if "--end-lr" in args else 10
    expected = [1e-7 * (end / 1e-7) ** (step / STEPS) for step in range(len(rows))]
    assert [float(row["rate"]) for row in rows] == pytest.approx(expected, rel=1e-5)
    assert 20 <= len(rows) <= STEPS
    svg = (project / f"reports/lr_find/{args[0]}.svg").read_text()
    assert svg.startswith("<svg") and "valley" in svg
    assert not (project / "models").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit_gan"], "fit_gan has no learning rate to find (of two networks that take turns no "),
        (["bedrooms"], "those that have: pretrain_generator, pretrain_critic, fit_pixel, "),
        (["evaluate"], "evaluate has no learning rate to find; those that have: pretrain_gener"),
        (["pretrain_generator", "--phase", "3"], "has 2 phases; there is no phase 3"),
        (["fit_feature"], "run `dvc repro pretrain_generator` first"),
        (["digits"], "run `dvc repro lessons/dvc.yaml:digits_data` first"),
        (["digits", "--end-lr", "1e-7"], "Invalid value for '--end-lr'"),
    ],
)
def test_a_stage_or_phase_without_a_rate_is_an_error_with_the_cure(
    project: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-find", *args]) == 2
    assert message in capsys.readouterr().err
