"""Every stage on nodes that share no files with the workspace, and after kills of those nodes."""

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
from tests.cluster.conftest import BIN, Workspace, credentials, small
from tests.conftest import until
from tests.test_pipeline import clone

pytestmark = pytest.mark.slow


def copy(workspace, local, *folders):
    """Copy outputs of stages into the workspace."""
    for name in folders:
        shutil.copytree(local.folder / name, workspace.folder / name)


def dvc(workspace, *args, **env):
    """The output of a DVC command in a workspace."""
    result = subprocess.run(
        [BIN / "dvc", *args],
        cwd=workspace.folder,
        env={**workspace.env, **env},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def names_in(folder, cluster):
    """The names in a folder of the S3 server."""
    client = boto3.client("s3", endpoint_url=cluster.env["AWS_ENDPOINT_URL"], **credentials())
    found = client.list_objects_v2(Bucket="lessonpipe", Prefix=folder).get("Contents", [])
    return [one["Key"].removeprefix(f"{folder}/") for one in found]


def test_two_nodes_train_along_the_curve_of_one_machine(workspace, local, cluster):
    copy(workspace, local, "data/crappify")
    output = workspace.run("pretrain_generator", LESSONPIPE_WORKERS="2")
    assert "epoch 3" in output  # of a node
    ours, theirs = workspace.history("pretrain_generator"), local.history("pretrain_generator")
    assert len(ours) == len(theirs) == 3
    for one, two in zip(ours, theirs, strict=True):
        for what in ("train_loss", "valid_loss", "valid_psnr"):
            assert one[what] == pytest.approx(two[what], rel=2e-3), what
    assert set(workspace.files("models")) == set(local.files("models/pretrain_generator"))
    storage = workspace.env["LESSONPIPE_STORAGE"].removeprefix("s3://lessonpipe/")
    assert names_in(storage, cluster) == ["check"]  # no upload, no checkpoint


def test_a_stage_that_runs_on_one_whole_node_leaves_the_same_bytes(workspace, local):
    copy(workspace, local, "data/crappify", "models/pretrain_generator")
    workspace.run("save_preds")
    assert workspace.files("data/save_preds") == local.files("data/save_preds")


def test_dvc_repro_trains_and_evaluates_on_nodes(local, cluster, tmp_path):
    local.run("evaluate")
    folder = clone(tmp_path / "project", small)
    workspace = Workspace(
        folder, cluster.env | {"LESSONPIPE_STORAGE": f"s3://lessonpipe/{tmp_path.name}"}
    )
    copy(workspace, local, "data/photos", "data/crappify", "data/save_preds", "models")
    shutil.copy(local.folder / "data/recipe.json", folder / "data")
    shutil.rmtree(folder / "models/fit_pixel")
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    dvc(workspace, "commit", "--force", *(set(stages) - {"fit_pixel", "evaluate", "compare"}))

    output = dvc(workspace, "repro", "evaluate", RAY_ADDRESS=cluster.address)
    assert re.findall(r"Running stage '(\w+)'", output) == ["fit_pixel", "evaluate"]
    for name in ("models/fit_pixel/model.safetensors", "reports/metrics.json"):
        assert (folder / name).read_bytes() == (local.folder / name).read_bytes()


def test_training_on_nodes_without_a_storage_is_an_error_that_says_what_to_set(workspace, local):
    copy(workspace, local, "data/crappify")
    process = workspace.start("pretrain_generator", LESSONPIPE_STORAGE="")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "LESSONPIPE_STORAGE: a folder that all nodes see" in output
    assert "Traceback" not in output


def read_until(process, text):
    """The output up to the first line with this text."""
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(output[-3000:])


def last_epoch(output, text):
    """The largest number that follows this text; 0 without any."""
    found = re.findall(rf"^.*\b{text} (\d+)\b", output.replace("\r", "\n"), re.M)
    return max(map(int, found), default=0)


@pytest.mark.parametrize(
    ("stage", "victim"),
    [("pretrain_generator", "node"), ("fit_gan", "worker")],  # one net, two; all share fit()
)
def test_training_continues_when_a_worker_or_a_node_is_killed(
    workspace, local, cluster, stage, victim
):
    reads, _ = stage_files(stage, workspace.folder / "dvc.yaml")
    copy(workspace, local, *reads[1:])
    process = workspace.start(stage, LESSONPIPE_WORKERS="2")
    at_work = until(lambda: [node for node in cluster.nodes if node.workers("RayTrainWorker")])
    node = random.choice(at_work)
    victims = node.workers("RayTrainWorker")
    output = read_until(process, "epoch 1  ")
    if victim == "worker":
        for worker in victims:
            worker.kill()
    else:
        node.kill()
        cluster.nodes.remove(node)
    rest, _ = process.communicate(timeout=240)
    if victim == "node":
        cluster.add()
    assert process.returncode == 0, (output + rest)[-3000:]
    assert "resuming after epoch" in rest, "it had ended before the kill"
    before, after = re.split("(?=resuming after epoch)", output + rest, maxsplit=1)
    assert last_epoch(after, "resuming after epoch") >= last_epoch(before, "epoch") >= 1
    out = f"models/{stage}"
    ignored = {"valid_psnr_gain"}  # near 0, and in psnr
    if stage == "fit_gan":  # its critic's loss hangs on the order of sums: tests/bench/workers.py
        ignored |= {"valid_critic", "valid_loss"}
    assert set(workspace.files(out)) == set(local.files(out))
    for one, two in zip(workspace.history(stage), local.history(stage), strict=True):
        measures = {k: v for k, v in two.items() if k.startswith("valid_") and k not in ignored}
        assert {name: one[name] for name in measures} == pytest.approx(measures, rel=5e-3)
        assert one.get("generator_steps") == two.get("generator_steps")  # of the GAN


def test_the_same_command_continues_a_killed_driver_to_the_bytes_of_one_machine(workspace, local):
    copy(workspace, local, "data/crappify")
    process = workspace.start("pretrain_generator")
    read_until(process, "epoch 2  ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workspace.folder / "models/pretrain_generator").exists()
    time.sleep(1)
    assert "resuming after epoch 2" in workspace.run("pretrain_generator")
    assert workspace.files("models") == local.files("models/pretrain_generator")


def test_photos_of_a_killed_node_are_degraded_on_another_to_the_same_bytes(
    workspace, local, cluster, tmp_path
):
    process = workspace.start("crappify")
    victim = random.choice(cluster.nodes)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if list(workspace.folder.glob("data/.crappify-*/done.jsonl")):
            break
        time.sleep(0.02)
    victim.kill()
    cluster.nodes.remove(victim)
    output, _ = process.communicate(timeout=240)
    cluster.add()
    assert process.returncode == 0, output[-3000:]
    assert workspace.files("data/crappify") == local.files("data/crappify")
    assert "data/crappify/manifest.json" in workspace.files("data/crappify")
    assert len(workspace.files("data/crappify")) > 40
