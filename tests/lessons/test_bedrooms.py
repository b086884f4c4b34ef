"""Bedrooms from noise: how samples are measured and shown, and the stage."""

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import yaml
from PIL import Image

from lessonpipe.errors import UserError
from lessonpipe.report.result import Result
from lessons.bedrooms import __main__ as draw
from lessons.bedrooms import data, fid, plots
from tests.conftest import ROOT, make_picture

# --- measures ----------------------------------------------------------------------------------


def test_the_frechet_distance_of_gaussians_is_the_formula_and_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) + 1
    b = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    s, t = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(s @ t).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root)
    found = fid.frechet(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(expected, rel=1e-8)
    assert fid.frechet(torch.from_numpy(b), torch.from_numpy(a)) == pytest.approx(found)
    assert fid.frechet(torch.from_numpy(a), torch.from_numpy(a)) == pytest.approx(0, abs=1e-8)


def test_the_frechet_distance_of_known_gaussians_is_what_a_person_works_out():
    def cloud(mean, deviation):  # two points a direction: exactly this mean and covariance
        points = torch.tensor(deviation).double().diag() * (2 * len(mean) - 1) ** 0.5 / 2**0.5
        return torch.tensor(mean).double() + torch.cat([points, -points])

    # covariances that commute: |m - n|² + the sum of the squared differences of the deviations
    a, b = cloud([0.0, 0.0], [1.0, 2.0]), cloud([3.0, 4.0], [2.0, 5.0])
    assert fid.frechet(a, b) == pytest.approx(25 + 1 + 9)
    # of one point repeated, the distance and all the spread are left
    assert fid.frechet(a, torch.ones(7, 2).double()) == pytest.approx(2 + 1 + 4)


def test_the_pairwise_measure_notices_collapse():
    rng = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8, generator=rng)
    assert fid.mean_pairwise_distance(photos) == pytest.approx(
        (1 / 6) ** 0.5, rel=0.05
    )  # of even draws
    assert fid.mean_pairwise_distance(photos[:1].repeat(20, 1, 1, 1)) == 0
    two = photos[:2].repeat(10, 1, 1, 1)
    assert fid.mean_pairwise_distance(two) < 0.6 * fid.mean_pairwise_distance(photos)


# --- pictures, and the whole -------------------------------------------------------------------


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (4, 4), (9, 5)])
def test_a_film_shows_sheets_from_the_first_to_the_last_and_runs_for_ever(count, shown):
    frames = [make_picture(64, 64, seed=i) for i in range(count)]
    film = Image.open(io.BytesIO(plots.film(frames, most=5)))
    assert (getattr(film, "n_frames", 1), film.size) == (shown, (64, 32))
    for at, frame in ((0, frames[0]), (shown - 1, frames[-1])):
        film.seek(at)
        off = np.asarray(film.convert("RGB")).astype(int) - np.asarray(frame)[:32]
        assert np.abs(off).mean() < 12


def test_the_critics_estimate_is_said_to_shrink_only_when_it_does():
    down, up = ([{"train_critic_loss": -value} for value in course] for course in ((9, 2), (2, 9)))
    assert plots.trend(down) == "it shrinks: 9 in the first epoch, 2 in the last"
    assert plots.trend(up) == "it does not shrink: 2 in the first epoch, 9 in the last"


def test_a_sheet_has_the_pictures_in_rows():
    made = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 3, 4, 4)
    sheet = np.asarray(plots.sheet(made))
    assert sheet.shape == (8, 32, 3)
    assert sheet[0, ::4, 0].tolist() == list(range(8)) and sheet[4, 0, 0] == 8


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("gp_weight", None, ["bedrooms", "nothing bounds the critic"]),
        ("clip", 0, ["bedrooms.clip = 0", "greater than 0"]),
        ("phases", [], ["bedrooms.phases = []"]),
        ("epoch", 1, ["bedrooms.epoch is unknown", "gp_weight"]),
    ],
)
def test_wrong_params_are_told_in_a_sentence(key, value, words, tmp_path):
    from tasks import bedrooms
    from tasks.pipeline.params import load

    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["bedrooms"][key] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError) as told:
        load(bedrooms.Params, "bedrooms", tmp_path / "params.yaml")
    assert all(word in str(told.value) for word in words)


def test_drawing_without_a_model_says_what_to_run(tmp_path, capsys):
    assert draw.main(["--model", str(tmp_path)]) == 2
    assert "dvc repro" in capsys.readouterr().err


def cut_short(tmp_path):
    """A folder with little data, and params for seconds."""
    rng = np.random.default_rng(0)
    rooms = {}
    for side in ("train", "valid"):
        walls = rng.integers(90, 255, (256, 3, 1, 1)).repeat(32, 2).repeat(32, 3)
        walls[:, :, 20:] = rng.integers(0, 90, (256, 3, 1, 1))  # a floor
        grainy = walls + rng.normal(0, 40, walls.shape)
        rooms[side] = torch.from_numpy(grainy.clip(0, 255).astype(np.uint8))
    (tmp_path / "data/bedrooms").mkdir(parents=True)
    data.save(rooms, tmp_path / "data/bedrooms")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    phase = {"batch": 16, "samples_per_epoch": 960, "epochs": 4, "max_lr": 2e-3}
    params["bedrooms"] |= {"phases": [phase], "layers": [1], "n_samples": 64}
    params["bedrooms"]["net"]["features"] = 8
    params["bedrooms"]["gan"]["ema"] = 0.9
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.slow
def test_the_stage_cut_short_makes_samples_that_vary_and_come_nearer_to_photos(
    tmp_path, door, monkeypatch
):
    cut_short(tmp_path)
    done = door("tasks", "bedrooms")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "models/bedrooms"
    figures = {(f.system, f.measure): f.mean for f in Result.read(out).scores}
    distance = {system: v for (system, what), v in figures.items() if what.startswith("Fréchet")}
    assert distance["WGAN"] < 0.5 * distance["untrained generator"]
    (share,) = (v for (_, what), v in figures.items() if what.startswith("pairwise"))
    assert share > 0.3
    assert Image.open(out / "film.webp").n_frames == 5  # before, and after each of four epochs
    assert len(list((out / "samples").glob("*.jpg"))) == 4
    monkeypatch.chdir(tmp_path)
    drawings = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert draw.main(["-o", f"{name}.jpg", "--seed", str(seed), "--rows", "2"]) == 0
        drawings[name] = Path(f"{name}.jpg").read_bytes()
    assert drawings["a"] == drawings["b"] != drawings["c"]
    assert not list((tmp_path / ".lessonpipe/checkpoints").glob("*"))
