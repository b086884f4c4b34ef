"""A submitted job pulls, runs on the nodes, and pushes; a workspace pulls its outputs."""

import contextlib
import json
import logging
import os
import subprocess
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ray.job_submission import JobSubmissionClient

from lessonpipe.report.result import Result
from tests.cluster.conftest import BIN, small
from tests.conftest import ROOT, make_picture, until
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
    photos = sum(path.stat().st_size for path in (ROOT / "tasks/sample").rglob("*"))
    assert package.stat().st_size < photos + 1_000_000


@dataclass
class Submitter:
    """A project with a remote, whose jobs run on a cluster."""

    folder: Path
    env: dict[str, str]

    def command(self, *args: str, code: int = 0) -> str:
        """The output of a command, which has to end with this exit code."""
        result = subprocess.run(
            [BIN / args[0], *args[1:]],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert result.returncode == code, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    def job(self, stage: str, code: int = 0) -> str:
        """The output of a job that brings a stage up to date."""
        runtime_env = {"env_vars": {"LESSONPIPE_STORAGE": self.env["LESSONPIPE_STORAGE"]}}
        submit = ["ray", "job", "submit", "--address", self.env["DASHBOARD"], "--working-dir", "."]
        submit += ["--runtime-env-json", json.dumps(runtime_env)]
        return self.command(*submit, "--", "python", "-m", "flows", "job", stage, code=code)


def takes_jobs(address):
    """Whether a cluster does; its nodes are in before their agents are."""
    with contextlib.suppress(RuntimeError):
        return JobSubmissionClient(address).submit_job(entrypoint="true")


@pytest.fixture
def submitter(cluster, tmp_path):
    until(lambda: takes_jobs(cluster.env["DASHBOARD"]))
    env = {**cluster.env, "LESSONPIPE_STORAGE": f"s3://lessonpipe/{tmp_path.name}"}
    made = Submitter(clone(tmp_path / "project", small), env)
    remote = f"s3://lessonpipe/dvc-{tmp_path.name}"
    made.command("dvc", "remote", "add", "--default", "store", remote)
    return made


def test_a_job_runs_what_is_missing_and_its_workspace_pulls_the_outputs(submitter):
    output = submitter.job("pretrain_generator")
    assert "pretrain_generator: pushed" in output and "epoch 3" in output
    assert not (submitter.folder / "models").exists()

    submitter.command("dvc", "repro", "--pull", "pretrain_generator")
    history = (submitter.folder / "models/pretrain_generator/history.csv").read_text().splitlines()
    assert len(history) == 4
    lock = yaml.safe_load((submitter.folder / "dvc.lock").read_text())
    assert lock["stages"]["pretrain_generator"]

    output = submitter.job("pretrain_generator")  # a second job finds all of it done
    assert "epoch" not in output


def test_a_lesson_trains_in_a_job_and_its_workspace_pulls_the_model(submitter):
    output = submitter.job("numbers")
    assert "numbers_data: pushed" in output and "numbers: pushed" in output
    assert not (submitter.folder / "models").exists()

    output = submitter.command("dvc", "repro", "--pull", "lessons/dvc.yaml:numbers")
    assert "Running stage" not in output
    words = (submitter.folder / "data/numbers/valid.txt").read_text().split()
    assert words[:4] == ["xxbos", "eight", "thousand", "one"]
    learnt = Result.read(submitter.folder / "models/numbers").scores[0]
    (commonest,) = Counter(words).most_common(1)
    assert learnt.measure == "accuracy" and learnt.mean > commonest[1] / len(words) + 0.2


def test_the_users_photos_are_not_uploaded_and_what_download_made_of_them_is_pulled(submitter):
    params = yaml.safe_load((submitter.folder / "params.yaml").read_text())
    params["download"] |= {"source": "folder", "folder": "my_photos"}
    (submitter.folder / "params.yaml").write_text(yaml.safe_dump(params))
    for i in range(6):
        make_picture(96, 96, seed=i).save(submitter.folder / f"my_photos/{chr(97 + i)}0.png")
    output = submitter.job("crappify", code=1)
    assert "`dvc repro download` and `dvc push download`, then submit again" in output
    assert "Traceback" not in output

    submitter.command("dvc", "repro", "download")
    submitter.command("dvc", "push", "download")
    output = submitter.job("crappify")
    assert "download: pulled" in output and "crappify: pushed" in output
    assert "Running stage" not in submitter.command("dvc", "repro", "--pull", "crappify")
    assert list((submitter.folder / "data/crappify").rglob("*a0*"))
