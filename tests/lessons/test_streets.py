"""Streets: scenes, labels, measures and the network, against something independent."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from torch import Tensor, nn

from lessonpipe.data.augment import Augment
from lessonpipe.data.in_memory import TensorBatches
from lessonpipe.device import Worker
from lessonpipe.errors import MissingError
from lessonpipe.nets import UnetConfig
from lessonpipe.nets.io import write_model
from lessons.streets import learn, plots, report
from lessons.streets.classes import COLOURS, NAMES, VOID
from lessons.streets.data import (
    SegmentationView,
    Sized,
    Streets,
    resized,
    save_labels,
)
from lessons.streets.nets import Segmenter
from lessons.streets.predict import predict_mask
from lessons.streets.scenes import scene
from tasks import streets, streets_data
from tasks.pipeline.params import load
from tests.conftest import ROOT
from tests.tasks.pipeline.test_profiles import PARAMS, PROFILES, merged


def batches(
    x: Tensor, y: Tensor, batch: int, seed: int, augment: Augment, worker: Worker
) -> TensorBatches:
    view = SegmentationView(augment, (x.shape[-2], x.shape[-1]))
    return TensorBatches(x, y, batch, seed, worker, view)


PHASE = {"batch": 4, "epochs": 1, "max_lr": 1e-3}
HERE = Worker(torch.device("cpu"), torch.float32)


def params(*overlays: dict[str, Any]) -> streets.Params:
    whole = PARAMS
    for overlay in overlays:
        whole = merged(whole, overlay)
    common = {key: whole[key] for key in ("seed", "precision")}
    return streets.Params(**common, **whole["streets"])


def saved_scenes(folder: Path, train: int, valid: int, size: tuple[int, int]) -> Path:
    for side, seed, count in (("train", 2, train), ("valid", 3, valid)):
        (folder / side).mkdir(parents=True)
        (folder / f"{side}_labels").mkdir()
        for i in range(count):
            picture, labels = scene(seed, i, size)
            Image.fromarray(picture).save(folder / side / f"{i}.png")
            (folder / f"{side}_labels" / f"{i}.png").write_bytes(save_labels(labels))
    (folder / "streets.json").write_text('{"source": "scenes"}')
    return folder


def test_the_lessons_figure_is_of_camvid_and_the_goal_of_scenes() -> None:
    p = params(PROFILES["camvid"])
    system = report.SYSTEMS["pretrained"]
    camvid = report.score(system, "accuracy", 0.9, 1.0, True, p.goal)
    assert (camvid.lesson, camvid.goal) == (0.941, None)
    scenes = report.score(system, "accuracy", 0.9, 1.0, False, params().goal)
    assert (scenes.lesson, scenes.goal) == (None, 0.94)


def test_random_weights_get_as_many_steps_and_all_of_them_learn() -> None:
    ours, theirs = (streets.schedule(params(), system) for system in report.SYSTEMS)
    assert [(a.samples_per_epoch, a.batch, a.image_px) for a in ours] == [
        (b.samples_per_epoch, b.batch, b.image_px) for b in theirs
    ]
    assert all(a.frozen for a in ours) and not any(b.frozen for b in theirs)


def test_only_a_pretrained_encoder_keeps_its_early_part_and_its_statistics() -> None:
    for system in report.SYSTEMS:
        learner = streets.untrained(params(), system)
        learner.freeze(streets.schedule(params(), system)[-1].frozen)
        encoder = learner.net.train().unet.encoder
        learning = [p.requires_grad for p in encoder.parameters()]
        norms = [m.training for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        assert learning.count(False) == (system == "pretrained") * len(encoder.param_groups()[0])
        assert norms and set(norms) == {system == "random"}


def test_a_scene_is_the_same_for_its_seed_and_number_and_another_for_others() -> None:
    first, again = scene(4, 7, (90, 120)), scene(4, 7, (90, 120))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    for other in (scene(4, 8, (90, 120)), scene(5, 7, (90, 120))):
        assert (first[0] != other[0]).any() and (first[1] != other[1]).any()


def test_scenes_hold_every_class_and_labels_have_the_pictures_size() -> None:
    seen: set[int] = set()
    for number in range(12):
        picture, labels = scene(1, number, (180, 240))
        assert picture.shape == (180, 240, 3) and labels.shape == (180, 240)
        assert picture.dtype == labels.dtype == np.uint8
        seen |= set(np.unique(labels).tolist())
    assert seen == set(range(len(NAMES)))


def test_colour_alone_does_not_tell_the_classes_of_a_scene() -> None:
    def pixels(seed: int) -> tuple[np.ndarray, np.ndarray]:
        found = [scene(seed, i, (90, 120)) for i in range(30)]
        x, y = (np.stack(part) for part in zip(*found, strict=True))
        code = (x // 16).astype(int) @ np.array([256, 16, 1])  # 4096 colours
        return code[y != VOID], y[y != VOID]

    counts = np.zeros((4096, len(NAMES)))
    np.add.at(counts, pixels(2), 1)
    code, truth = pixels(3)
    assert (counts.argmax(1)[code] == truth).mean() < 0.7


def test_void_is_learnt_and_may_be_said_but_its_pixels_are_not_counted_in_accuracy() -> None:
    torch.manual_seed(0)
    y = torch.randint(0, 12, (2, 8, 9))
    scores = torch.randn(2, 12, 8, 9, requires_grad=True)
    logs = scores.detach().log_softmax(1)
    mine = [-logs[b, y[b, i, j], i, j] for b, i, j in np.ndindex(2, 8, 9)]
    assert learn.entropy(scores, y).item() == pytest.approx(float(torch.stack(mine).mean()))
    learn.entropy(scores, y).backward()
    assert (scores.grad.abs().sum(1) > 0).all()

    said = learn.predict(scores)
    assert said.max() == VOID
    right = [(said[k] == y[k]).item() for k in np.ndindex(2, 8, 9) if y[k] != VOID]
    found = learn.accuracy(learn.confusion(said, y)).item()
    assert found == pytest.approx(sum(right) / len(right))
    # acc_camvid of the lesson: the mask, then the arg-max over all classes
    mask = y != VOID
    assert found == pytest.approx((scores.argmax(dim=1)[mask] == y[mask]).float().mean().item())


def test_iou_is_that_of_sets_of_pixels() -> None:
    rng = np.random.default_rng(0)
    y, made = rng.integers(0, 12, (2, 3, 20, 30))
    y[y == 4], made[made == 4] = 5, 5  # a class that is nowhere
    found = learn.ious(learn.confusion(torch.from_numpy(made), torch.from_numpy(y))).tolist()
    counted = y != VOID
    for k in range(VOID):
        truth, said = (set(np.flatnonzero((v == k) & counted)) for v in (y, made))
        if k == 4:
            assert np.isnan(found[k])
        else:
            assert found[k] == pytest.approx(len(truth & said) / len(truth | said))


@pytest.mark.parametrize("augment", [{"flip": True}, {"rotate": 10, "zoom": 1.3, "warp": 0.2}])
def test_views_move_picture_and_labels_together(augment: dict[str, Any]) -> None:
    column = torch.arange(96).expand(6, 64, 96)
    y = (column // 8).to(torch.uint8)  # classes are stripes of eight columns
    x = (column * 2)[:, None].expand(6, 3, 64, 96).to(torch.uint8)  # and the photo shows which
    moved = 0
    for a, b, share in batches(x, y, 6, 0, Augment(**augment), HERE).epoch(0):
        assert share > 0.99 and a.shape == (6, 3, 64, 96) and b.shape == (6, 64, 96)
        shown = a[:, 0] * 255 / 2
        assert (shown > 8 * b - 0.6).all() and (shown < 8 * b + 7.6).all()
        moved += sum((one != y[0]).any().item() for one in b)
    assert moved > 0


def test_photos_that_move_are_sampled_from_their_full_size(tmp_path: Path) -> None:
    folder = saved_scenes(tmp_path, 4, 1, (128, 160))
    augment = Augment(flip=False, zoom=1.01, p_affine=0)
    data, phase = Streets(folder, augment, 0, HERE), Sized(image_px=(64, 80), **PHASE)
    x, y = data.full_size("train")
    ((a, b, _),) = data.train_batches(phase).epoch(0)
    assert a.shape == (4, 3, 64, 80) and b.shape == (4, 64, 80)
    rows, columns = (torch.linspace(0, n - 1, m) for n, m in ((128, 64), (160, 80)))
    near = y[:, rows.round().long()][:, :, columns.round().long()]
    flat = sorted(zip(b.flatten(1).tolist(), a.flatten(1).tolist(), strict=True))
    assert [labels for labels, _ in flat] == sorted(near.flatten(1).tolist())
    full = F.interpolate(x.float() / 255, (64, 80), mode="bilinear", align_corners=True)
    photos = torch.tensor([photo for _, photo in flat]).sum(1).sort().values
    assert torch.allclose(photos, full.flatten(1).sum(1).sort().values, rtol=1e-4)


def test_workers_share_a_batch(tmp_path: Path) -> None:
    pairs = [scene(1, i, (64, 64)) for i in range(5)]
    x = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p, _ in pairs])
    y = torch.stack([torch.from_numpy(labels) for _, labels in pairs])

    def epoch(rank: int, world: int) -> list[Any]:
        worker = Worker(torch.device("cpu"), torch.float32, rank, world)
        return list(batches(x, y, 5, 3, Augment(flip=True, light=0.2), worker).epoch(0))

    whole, first, second = epoch(0, 1)[0], epoch(0, 2)[0], epoch(1, 2)[0]
    for i in range(2):
        assert torch.equal(torch.cat([first[i], second[i]]), whole[i])
    assert first[2] + second[2] == pytest.approx(1)
    assert first[2] == pytest.approx(len(first[1]) / len(whole[1]))


def test_a_smaller_size_keeps_classes_whole() -> None:
    picture, labels = scene(1, 0, (128, 160))
    pair = torch.from_numpy(picture).permute(2, 0, 1)[None], torch.from_numpy(labels)[None]
    x, y = resized(pair, (64, 80))
    assert x.shape == (1, 3, 64, 80) and y.shape == (1, 64, 80)
    assert set(y.unique().tolist()) <= set(np.unique(labels).tolist())
    assert (x.float().mean() - pair[0].float().mean()).abs() < 1


def test_colours_differ_and_lie_over_the_photo() -> None:
    assert len(set(COLOURS)) == len(NAMES) == 12
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    photo = Image.new("RGB", (4, 3), (100, 100, 100))
    drawn = np.asarray(plots.overlay(photo, labels, 0.5)).reshape(12, 3)
    assert np.abs(drawn - (np.array(COLOURS) + 100) / 2).max() <= 1


def test_the_bars_have_their_numbers_and_a_class_that_is_nowhere_has_none() -> None:
    found = {"a": [0.25] * 10 + [1.0], "b": [0.5] * 10 + [float("nan")]}
    svg = plots.bars(found)
    assert svg.startswith("<svg") and svg == plots.bars(found)
    said = re.findall("<!-- (.+) -->", svg)  # of each text, before its outlines
    numbers = [said.count(words) for words in ("0.25", "0.50", "1.00", "–")]
    assert numbers == [10, 10, 1, 1]


def test_any_photo_is_segmented_at_its_own_size(tmp_path: Path, door: Any) -> None:
    torch.manual_seed(0)
    build = {"widths": [16, 16, 8, 8], "head": 8, "bottleneck": False}
    config = UnetConfig(encoder="test_efficientnet", norm="none", output="plain", **build)
    net = Segmenter(config, pretrained=False)
    write_model(tmp_path / "model", net, "segmenter", net.config, {})
    photo = Image.fromarray(scene(1, 0, (77, 101))[0])
    labels = predict_mask(photo, tmp_path / "model")
    assert labels.shape == (77, 101) and labels.dtype == np.uint8 and labels.max() <= VOID
    photo.save(tmp_path / "a.png")
    done = door("lessons.streets", "a.png", "-o", "out.jpg", "--model", "model")
    assert done.returncode == 0 and Image.open(tmp_path / "out.jpg").width == 101
    done = door("lessons.streets", "a.png", "--model", "none")
    assert done.returncode == 2 and "run `dvc repro lessons/dvc.yaml:streets` first" in done.stderr


def test_without_data_the_error_names_the_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=f"{tmp_path} has no train"):
        Streets(tmp_path, Augment(), 0, HERE).split("train", (64, 64))


def test_the_sides_seeds_meet_in_no_other_run() -> None:
    seeds = [{2 * seed, 2 * seed + 1} for seed in range(50)]
    assert len(set.union(*seeds)) == 100
    assert load(streets_data.Params, "streets_data", ROOT / "params.yaml").source == "scenes"


@pytest.mark.slow
def test_scenes_are_the_same_bytes_for_any_number_of_workers(tmp_path: Path, door: Any) -> None:
    section = {"source": "scenes", "train": 9, "valid": 2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"seed": 1, "streets_data": section}))
    made = []
    for workers in ("1", "2"):
        done = door("tasks", "streets_data", LESSONPIPE_WORKERS=workers)
        assert done.returncode == 0, done.stderr
        files = sorted((tmp_path / "data/streets").rglob("*.*"))
        assert len(files) == 2 * 11 + 1
        made.append([(path.name, path.read_bytes()) for path in files])
    assert made[0] == made[1]


@pytest.mark.slow
def test_a_short_training_learns_more_than_the_commonest_class(tmp_path: Path) -> None:
    data = saved_scenes(tmp_path / "data", 48, 12, (96, 128))
    _, y = Streets(data, Augment(), 0, HERE).split("valid", (96, 128))
    commonest = torch.bincount(y[y != VOID]).max().item() / (y != VOID).sum().item()
    p = params().model_copy(
        update={
            "phases": [Sized(image_px=(96, 128), batch=4, epochs=8, max_lr=3e-3, frozen=True)],
            "rows": 2,
        }
    )
    streets.run(p, data, tmp_path / "streets")
    shown = json.loads((tmp_path / "streets/result.json").read_text())
    found = {(f["system"], f["measure"]): f for f in shown["scores"]}
    ours = found[report.SYSTEMS["pretrained"], "accuracy"]
    assert ours["values"][0] > commonest + 0.2 and "seconds" not in ours
    assert ours["values"][0] > found[report.SYSTEMS["random"], "accuracy"]["values"][0]
    rows = (tmp_path / "streets/history.csv").read_text().splitlines()
    assert len(rows) == 9 and "valid_accuracy" in rows[0]
    last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
    assert float(last["valid_accuracy"]) == pytest.approx(ours["values"][0], abs=2e-3)
    mean = found[report.SYSTEMS["pretrained"], "mean IoU"]
    assert set(mean["parts"]) <= set(NAMES[:VOID]) and not ours["parts"]
    assert np.mean(list(mean["parts"].values())) == pytest.approx(mean["values"][0])
    photo = Image.open(data / "valid/0.png")
    assert predict_mask(photo, tmp_path / "streets").shape == (96, 128)
