"""Every stage on nodes that share nothing with the desk, and those nodes killed."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import boto3
import pytest
import yaml

from tasks.pipeline.launch import stage_files
from tests.cluster.conftest import BIN, Desk, credentials, small
from tests.conftest import until
from tests.test_pipeline import clone

pytestmark = pytest.mark.slow


def bring(desk, alone, *places):
    for name in places:
        shutil.copytree(alone.folder / name, desk.folder / name)


def dvc(desk, *words, **facts):
    """What DVC says at a desk."""
    done = subprocess.run(
        [BIN / "dvc", *words],
        cwd=desk.folder,
        env={**desk.env, **facts},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def left_in(folder, cluster):
    """The names in a folder of the S3 server."""
    client = boto3.client("s3", endpoint_url=cluster.env["AWS_ENDPOINT_URL"], **credentials())
    found = client.list_objects_v2(Bucket="lessonpipe", Prefix=folder).get("Contents", [])
    return [one["Key"].removeprefix(f"{folder}/") for one in found]


def test_pictures_that_nodes_spoilt_are_the_same_to_the_byte(desk, alone):
    desk.run("crappify")
    assert desk.files("data/crappify") == alone.files("data/crappify")
    assert len(desk.files("data/crappify")) > 40


def test_two_nodes_train_along_the_curve_of_one_machine(desk, alone, cluster):
    bring(desk, alone, "data/crappify")
    said = desk.run("pretrain_generator", LESSONPIPE_WORKERS="2")
    assert "epoch 3" in said  # a node's words reach the desk
    ours, theirs = desk.history("pretrain_generator"), alone.history("pretrain_generator")
    assert len(ours) == len(theirs) == 3
    for one, two in zip(ours, theirs, strict=True):
        for what in ("train_loss", "valid_loss", "valid_psnr"):
            assert one[what] == pytest.approx(two[what], rel=2e-3), what
    assert set(desk.files("models")) == set(alone.files("models/pretrain_generator"))
    storage = desk.env["LESSONPIPE_STORAGE"].removeprefix("s3://lessonpipe/")
    assert left_in(storage, cluster) == ["check"]  # no parcel, no checkpoint


def test_one_node_gives_the_bytes_of_one_machine(desk, alone):
    bring(desk, alone, "data/crappify")
    desk.run("pretrain_generator")
    assert desk.files("models") == alone.files("models/pretrain_generator")


def test_two_networks_take_turns_on_two_nodes(desk, alone):
    bring(desk, alone, "data/crappify", "models/pretrain_generator", "models/pretrain_critic")
    desk.run("fit_gan", LESSONPIPE_WORKERS="2")
    assert set(desk.files("models/fit_gan")) == set(alone.files("models/fit_gan"))
    for one, two in zip(desk.history("fit_gan"), alone.history("fit_gan"), strict=True):
        assert one["valid_psnr"] == pytest.approx(two["valid_psnr"], rel=5e-3)
        assert one["generator_steps"] == two["generator_steps"]


def test_a_stage_that_is_carried_leaves_the_same_bytes(desk, alone):
    bring(desk, alone, "data/crappify", "models/pretrain_generator")
    desk.run("save_preds")
    assert desk.files("data/save_preds") == alone.files("data/save_preds")


def test_dvc_at_the_desk_trains_and_evaluates_on_nodes(alone, cluster, tmp_path):
    alone.run("evaluate")
    folder = clone(tmp_path / "project", small)
    desk = Desk(folder, cluster.env | {"LESSONPIPE_STORAGE": f"s3://lessonpipe/{tmp_path.name}"})
    bring(desk, alone, "data/photos", "data/crappify", "data/save_preds", "models")
    shutil.copy(alone.folder / "data/recipe.json", folder / "data")
    shutil.rmtree(folder / "models/fit_control")
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    dvc(desk, "commit", "--force", *(set(stages) - {"fit_control", "evaluate"}))

    said = dvc(desk, "repro", "evaluate", RAY_ADDRESS=cluster.address)
    assert re.findall(r"Running stage '(\w+)'", said) == ["fit_control", "evaluate"]
    for name in ("models/fit_control/model.safetensors", "reports/metrics.json"):
        assert (folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_without_a_storage_training_on_nodes_says_what_to_set(desk, alone):
    bring(desk, alone, "data/crappify")
    process = desk.start("pretrain_generator", LESSONPIPE_STORAGE="")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "LESSONPIPE_STORAGE: a folder that all nodes see" in said
    assert "Traceback" not in said


def wait_for(process, words):
    """Read on until a line has these words; what was said."""
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(said[-3000:])


def last_epoch(said, words):
    """The last number that follows these words; 0 without any."""
    found = re.findall(rf"^.*\b{words} (\d+)\b", said.replace("\r", "\n"), re.M)
    return max(map(int, found), default=0)


@pytest.mark.parametrize(
    ("stage", "victim"),
    [
        ("pretrain_generator", "worker"),
        ("pretrain_generator", "node"),
        ("pretrain_critic", "worker"),
        ("fit_gan", "worker"),
        ("fit_feature", "worker"),
        ("fit_control", "worker"),
    ],
)
def test_training_goes_on_when_a_worker_or_a_node_is_killed(desk, alone, cluster, stage, victim):
    reads, _ = stage_files(stage, desk.folder / "dvc.yaml")
    bring(desk, alone, *reads[1:])
    process = desk.start(stage, LESSONPIPE_WORKERS="2")
    node = random.choice(cluster.nodes)
    victims = until(lambda: node.workers("RayTrainWorker"))
    said = wait_for(process, "epoch 1  ")
    if victim == "worker":
        for worker in victims:
            worker.kill()
    else:
        node.kill()
        cluster.nodes.remove(node)
    rest, _ = process.communicate(timeout=240)
    if victim == "node":
        cluster.add()
    assert process.returncode == 0, (said + rest)[-3000:]
    assert "going on after epoch" in rest, "it had ended before the kill"
    before, after = re.split("(?=going on after epoch)", said + rest, maxsplit=1)
    assert last_epoch(after, "going on after epoch") >= last_epoch(before, "epoch") >= 1
    out = f"models/{stage}"
    left_out = {"valid_psnr_gain"}  # near 0, and in psnr
    if stage == "fit_gan":  # its critic's loss hangs on the order of sums: tests/bench/workers.py
        left_out |= {"valid_critic", "valid_loss"}
    assert set(desk.files(out)) == set(alone.files(out))
    for one, two in zip(desk.history(stage), alone.history(stage), strict=True):
        measures = {k: v for k, v in two.items() if k.startswith("valid_") and k not in left_out}
        assert {name: one[name] for name in measures} == pytest.approx(measures, rel=5e-3)


def test_a_killed_driver_is_gone_on_with_by_the_same_command(desk, alone):
    bring(desk, alone, "data/crappify")
    process = desk.start("pretrain_generator")
    wait_for(process, "epoch 2  ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (desk.folder / "models/pretrain_generator").exists()
    time.sleep(1)
    assert "going on after epoch 2" in desk.run("pretrain_generator")
    assert desk.files("models") == alone.files("models/pretrain_generator")


def test_photos_of_a_killed_node_are_spoilt_on_another(desk, alone, cluster, tmp_path):
    process = desk.start("crappify")
    victim = random.choice(cluster.nodes)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if list(desk.folder.glob("data/.crappify-*/done.jsonl")):
            break
        time.sleep(0.02)
    victim.kill()
    cluster.nodes.remove(victim)
    said, _ = process.communicate(timeout=240)
    cluster.add()
    assert process.returncode == 0, said[-3000:]
    assert desk.files("data/crappify") == alone.files("data/crappify")
    assert os.path.exists(desk.folder / "data/crappify/manifest.json")
