"""The files for Docker, Kubernetes, SLURM and Prefect fit the project."""

import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.conftest import PATIENCE, ROOT, make_picture

DEPLOY = ROOT / "deploy"
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
)


def test_the_slurm_job_has_a_token_for_its_user_alone_while_it_runs(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    note = 'echo "$0 $* $RAY_AUTH_MODE $(ls -l "$RAY_AUTH_TOKEN_PATH" | cut -c 1-10) '
    note += '$(cat "$RAY_AUTH_TOKEN_PATH") ${RAY_AUTH_TOKEN-none}" >> told'
    work = f'until [ "$(grep -c "ray start" told)" = 2 ]; do /bin/sleep 0.1; done; {note}'
    # in the places of SLURM's own, and of what would take minutes
    for name, text in {"scontrol": "echo node1", "sleep": "", "srun": note, "dvc": work}.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(0o755)
    (commands / "python").symlink_to(sys.executable)
    env = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    tokens = set()
    for _ in range(2):
        subprocess.run(
            ["bash", DEPLOY / "slurm.sh", "crappify"],
            cwd=tmp_path,
            env=env | {"PATH": f"{commands}:/usr/bin:/bin", "RAY_AUTH_TOKEN": "another"},
            check=True,
            timeout=PATIENCE,
        )
        told = (tmp_path / "told").read_text().splitlines()
        assert len(told) == 3, "the head, the other node, and the work"
        for line in told:
            *_, mode, rights, token, other = line.split()
            assert (mode, rights, other) == ("token", "-rw-------", "none") and len(token) == 64
            assert line.count(token) == 1, "not on a command line"
            tokens.add(token)
        (tmp_path / "told").unlink()
        assert not list((tmp_path / ".lessonpipe").iterdir())
    assert len(tokens) == 2


def installed(text: str) -> list[set[str]]:
    """What each `pip install` of a file installs, without options."""
    options = {"--quiet", "--no-cache-dir", "-e", "\\"}
    return [set(args.split()) - options for args in re.findall(r"pip install (.* -c .+)", text)]


def test_the_image_installs_what_the_makefile_installs() -> None:
    image, make = ((ROOT / name).read_text() for name in ("deploy/Dockerfile", "Makefile"))
    assert installed(image) == installed(make.replace("pipeline,dev", "pipeline,cluster")) != []
    copied = re.findall(r"^COPY (.+) \S+$", image, re.M)
    assert all((ROOT / name).is_file() for names in copied for name in names.split())


def test_the_ray_job_runs_the_pinned_ray_by_a_command_that_is_there() -> None:
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == PINS["ray"]
    assert spec["authOptions"] == {"mode": "token"}
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == "lessonpipe" and container["resources"]["limits"]
    facts = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert all(name.startswith("LESSONPIPE_") for name in facts)
    args = job["spec"]["entrypoint"].split()
    assert args == ["python", "-m", "flows", "job"]
    command = [sys.executable, *args[1:], "--help"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_ray_job_has_the_fields_and_types_that_kuberay_knows() -> None:
    schema = yaml.safe_load((ROOT / "tests/flows/rayjob.schema.yaml").read_text())
    check = Draft202012Validator(schema)
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())
    assert not [error.message for error in check.iter_errors(job)]
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    job["spec"]["shutdownAfterJobFinished"] = True
    errors = " ".join(error.message for error in check.iter_errors(job))
    assert "0 is not of type 'string'" in errors and "'shutdownAfterJobFinished'" in errors


def test_every_deployment_is_a_flow_with_those_parameters() -> None:
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        path, _, name = one["entrypoint"].partition(":")
        flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
        assert flow.name == one["name"]
        assert set(one.get("parameters", {})) <= set(inspect.signature(flow.fn).parameters)
        assert one["concurrency_limit"]["limit"] == 1


@pytest.mark.slow
def test_prefect_takes_the_deployments_and_a_worker_their_runs(project, model, webhook):  # type: ignore[no-untyped-def]
    for name in ("prefect.yaml", "flows", "lessonpipe", "tasks"):
        (project.folder / name).symlink_to(ROOT / name)
    for args in (["work-pool", "create", "lessonpipe", "--type", "process"], ["deploy", "--all"]):
        process = project.command("-m", "prefect", "--no-prompt", *args)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    nightly = project.api("GET", "deployments/name/nightly/nightly")
    assert nightly["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    assert nightly["work_pool_name"] == "lessonpipe"
    assert "Compare the new model" in str(nightly["parameter_openapi_schema"])
    folder = project.api("GET", "deployments/name/restore-folder/restore-folder")
    assert folder["schedules"][0]["schedule"]["interval"] == 60

    (project.folder / "inbox").mkdir()
    make_picture().save(project.folder / "inbox/a.png")
    os.utime(project.folder / "inbox/a.png", (1, 1))  # not just being written
    hook = f"http://127.0.0.1:{webhook.server_port}/hook"
    output, _ = project.command("-m", "flows", "notify", hook).communicate(timeout=PATIENCE)
    assert output == f"{project.url}/api posts to {hook} when a run fails\n"
    project.command("-m", "prefect", "worker", "start", "--pool", "lessonpipe")

    def start(**parameters: str) -> str:
        body = {"parameters": {"model": str(model), **parameters}, "state": {"type": "SCHEDULED"}}
        return str(project.api("POST", f"deployments/{folder['id']}/create_flow_run", body)["id"])

    done, failed = start(), start(inbox="nowhere")
    assert project.until(lambda: project.ended(done)) == "COMPLETED"
    assert (project.folder / "restored/a.png").is_file()
    assert project.until(lambda: project.ended(failed)) == "FAILED"
    assert "nowhere is no folder" in project.until(lambda: "".join(webhook.posted))
