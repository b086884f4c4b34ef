"""A submitted job pulls, runs on the nodes, and pushes; a desk gets what it made by a pull."""

import logging
import os
import subprocess
import zipfile

import pytest
import yaml

from tests.cluster.conftest import BIN, small
from tests.test_pipeline import clone

pytestmark = pytest.mark.slow


def test_the_upload_is_small_and_holds_no_data(tmp_path):
    from ray._private.runtime_env.packaging import create_package

    project = clone(tmp_path / "project", lambda params: params)
    for name in ("data/photos/a.jpg", "models/big/model.safetensors", ".dvc/cache/files/a"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_bytes(os.urandom(3_000_000))
    package = tmp_path / "package.zip"
    create_package(str(project), package, include_gitignore=True, logger=logging.getLogger("test"))
    names = set(zipfile.ZipFile(package).namelist())
    assert {"dvc.yaml", "params.yaml", "flows/job.py", ".dvc/config"} <= names
    assert not [n for n in names if n.startswith((".git/", "data/", "models/", "docs/", "tests/"))]
    assert package.stat().st_size < 1_000_000


def test_a_job_runs_what_is_missing_and_a_desk_pulls_what_it_made(cluster, tmp_path):
    project = clone(tmp_path / "project", small)
    env = {**cluster.env, "LESSONPIPE_STORAGE": f"s3://lessonpipe/{tmp_path.name}"}

    def command(*words, at=project, **more):
        done = subprocess.run(
            [BIN / words[0], *words[1:]],
            cwd=at,
            env={**env, **more},
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    command("dvc", "remote", "add", "--default", "store", f"s3://lessonpipe/dvc-{tmp_path.name}")
    job = ["ray", "job", "submit", "--address", cluster.env["DASHBOARD"], "--working-dir", "."]
    facts = "{env_vars: {LESSONPIPE_STORAGE: '" + env["LESSONPIPE_STORAGE"] + "'}}"
    (tmp_path / "facts.yaml").write_text(facts)
    job += ["--runtime-env", str(tmp_path / "facts.yaml"), "--", "python", "-m", "flows", "job"]
    said = command(*job, "pretrain_generator")
    assert "pretrain_generator: pushed" in said and "epoch 3" in said
    assert not (project / "models").exists()

    command("dvc", "repro", "--pull", "pretrain_generator")
    history = (project / "models/pretrain_generator/history.csv").read_text().splitlines()
    assert len(history) == 4
    assert yaml.safe_load((project / "dvc.lock").read_text())["stages"]["pretrain_generator"]

    said = command(*job, "pretrain_generator")  # a second job finds all of it done
    assert "epoch" not in said

    assert "numbers_data: pushed" in command(*job, "numbers_data")  # a lesson's stage goes alike
    command("dvc", "repro", "--pull", "lessons/dvc.yaml:numbers_data")
    assert (project / "data/numbers/valid.txt").read_text().startswith("xxbos eight thousand one")
