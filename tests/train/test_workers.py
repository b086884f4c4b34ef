"""One worker with a batch of 8, and several that share it, follow the same loss curve."""

import contextlib
import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from lessonpipe.train.checkpoint import Checkpoint
from lessonpipe.train.fit import fit
from tests.conftest import ROOT
from tests.forked import Forked, fork_stage
from tests.small import unet_config
from tests.sockets import LOOPBACK, listening

Curve = list[dict[str, float]]


def project(folder: Path, pairs: Path, norm: str) -> Path:
    """A folder with 18 pairs, so that the last batch is of 2, and 3 pairs for validation."""
    (folder / "data").mkdir(parents=True)
    (folder / "data/crappify").symlink_to(pairs)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["precision"] = "fp32"
    phase = {"image_px": 64, "batch": 8, "epochs": 3, "max_lr": 1e-3, "frozen": norm == "none"}
    params["pretrain_generator"] |= {
        "net": unet_config(norm=norm, output="correction").model_dump(mode="json"),
        "pretrained": False,
        "phases": [phase],
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def train_as(rank: int, world: int) -> None:
    """Train in this folder as one of `world` workers; the first writes the curve."""
    from tasks import pretrain_generator
    from tasks.pipeline.params import load

    if world > 1:
        rendezvous = f"file://{Path('rendezvous').resolve()}"
        torch.distributed.init_process_group(
            "gloo", init_method=rendezvous, rank=rank, world_size=world
        )
    p = load(pretrain_generator.Params, "pretrain_generator")
    learner, data, worker = pretrain_generator.build(p)
    assert (worker.rank, worker.world) == (rank, world)
    curve = fit(learner, p.phases, data, worker, seed=p.seed, checkpoint=Checkpoint(None))
    if rank == 0:
        Path("curve.json").write_text(json.dumps(curve))


def curve_of(folder: Path, world: int, **env: str) -> Curve:
    """The curve of `world` workers, each a process of its own."""
    workers = [
        Forked(folder, f"worker{rank}", train_as, rank, world, LESSONPIPE_DEVICE="cpu", **env)
        for rank in range(world)
    ]
    for worker in workers:
        worker.finish()
    return json.loads((folder / "curve.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, pairs: Path) -> Callable[[str], Curve]:
    """The curve of one worker that trains a generator with some norm."""

    @cache
    def trained(norm: str) -> Curve:
        return curve_of(project(tmp_path_factory.mktemp(norm) / "project", pairs, norm), 1)

    return trained


def assert_same(curve: Curve, expected: Curve) -> None:
    assert len(curve) == len(expected) == 3
    for row, other in zip(curve, expected, strict=True):
        for name in ("train_loss", "valid_loss", "valid_psnr"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=2e-3), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "world", "backend"),
    [("none", 2, ""), ("batch", 2, ""), ("batch", 4, ""), ("batch", 2, "eager")],
)
def test_several_workers_follow_the_loss_curve_of_one(
    alone: Callable[[str], Curve], pairs: Path, tmp_path: Path, norm: str, world: int, backend: str
) -> None:
    folder = project(tmp_path / "project", pairs, norm)
    assert_same(curve_of(folder, world, LESSONPIPE_COMPILE=backend), alone(norm))


@pytest.mark.slow
def test_the_stage_trains_along_the_same_curve_on_two_workers_of_ray(
    alone: Callable[[str], Curve], pairs: Path, tmp_path: Path
) -> None:
    folder = project(tmp_path / "project", pairs, "batch")
    stage = fork_stage("pretrain_generator", folder, LESSONPIPE_WORKERS="2")
    seen: dict[str, set[int]] = {}  # ports of the workers by address
    while stage.process.is_alive():
        with contextlib.suppress(psutil.Error):  # some are gone by now
            for one in psutil.Process(stage.process.pid).children(recursive=True):
                if "RayTrainWorker" in " ".join(one.cmdline()):
                    for port, ip in listening([one]).items():
                        seen.setdefault(ip, set()).add(port)
        stage.process.join(0.1)
    stage.finish()
    assert len(set().union(*seen.values())) >= 4, "each has one of Ray and one of torch"
    assert set(seen) <= LOOPBACK
    text = (folder / "models/pretrain_generator/history.csv").read_text()
    assert_same(list(csv.DictReader(text.splitlines())), alone("batch"))
