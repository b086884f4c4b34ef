"""`python -m flows ui`: the page takes runs, cancels them, and ends with all it started."""

import signal
import socket

import httpx
import pytest


@pytest.fixture
def project(project_with_database):
    """A project whose page a test opens."""
    return project_with_database


@pytest.mark.slow
def test_the_page_takes_runs_cancels_them_and_ends_with_everything_it_started(project):
    project.open("--cron", "0 3 * * *")
    deployment = project.deployment("restorer")
    assert deployment["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    parameters = deployment["parameter_openapi_schema"]["properties"]
    assert "with all they depend on" in parameters["stages"]["description"]
    assert parameters["stages"]["items"]["enum"] == ["a", "c", "b", "evaluate"]
    assert parameters["side_by_side"]["minimum"] == 1

    assert project.api("GET", "admin/settings")["server"]["analytics_enabled"] is False
    assert "<html" in httpx.get(project.url, follow_redirects=True).text

    run = project.start("restorer", stages=["b"])
    assert project.until(lambda: project.ended(run)) == "COMPLETED"
    assert (project.folder / "b.txt").exists()
    assert not (project.folder / "c.txt").exists()

    project.url, url = "", project.url
    assert f"View at {url}/" in project.run("a").output  # a run by hand shows on the same page
    project.url = url

    project.change(b=1)
    project.hold("b", "c")
    run = project.start("restorer", stages=["b"])
    project.until(lambda: project.stage_runs("b"))
    project.cancel(run)
    assert not project.stage_runs("b")
    query = {"flow_runs": {"id": {"any_": [run]}}}
    tasks = project.api("POST", "task_runs/filter", query)
    assert {t["name"]: t["state_name"] for t in tasks} == {"a": "Cached", "b": "Cancelled"}

    second = project.command("-m", "flows", "ui", "--port", "1")
    assert f"the page of this folder is open already: {project.url}" in second.communicate()[0]
    assert second.returncode == 2

    project.start("restorer", stages=["c"])  # and ctrl-C while a stage is running
    project.until(lambda: project.stage_runs("c"))
    project.ui.send_signal(signal.SIGINT)
    output, _ = project.ui.communicate(timeout=40)
    assert project.ui.returncode == 130, output
    assert not project.processes()
    assert f"flows: {project.url}/deployments (ctrl-C ends it)" in output


@pytest.mark.slow
def test_a_schedule_starts_a_run_by_itself_and_a_killed_page_ends_it_and_the_server(project):
    project.hold("a")
    project.open("--cron", "* * * * * */20")  # every twenty seconds
    project.until(lambda: project.stage_runs("a"))
    project.release("a")
    project.until((project.folder / "evaluate.txt").exists)
    done = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    run, *_ = project.until(lambda: project.api("POST", "flow_runs/filter", done))
    assert run["auto_scheduled"]

    project.hold("a")
    project.change(a=1)
    project.until(lambda: project.stage_runs("a"))
    project.ui.kill()
    project.until(lambda: not project.processes(), 40)


def test_a_port_in_use_is_an_error_that_names_another(local_project):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ui = local_project.command("-m", "flows", "ui", "--port", str(port))
        output, _ = ui.communicate(timeout=30)
    assert ui.returncode == 2
    assert output == (
        f"flows: port {port} on 127.0.0.1 cannot be had (Address already in use); "
        f"end what uses it, or choose another: python -m flows ui --port {port + 1}\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "args", [["--cron", "at three"], ["--cron", "0 3 * * *", "--timezone", "X"]]
)
def test_a_wrong_schedule_is_an_error_that_says_how_one_is_written(local_project, args):
    ui = local_project.command("-m", "flows", "ui", *args)
    output, _ = ui.communicate(timeout=30)
    assert ui.returncode == 2
    assert "is no schedule; minute, hour, day, month, weekday" in output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["serve"], "python -m flows ui"),  # which starts a server
        (["notify", "https://hooks.example/x"], "python -m flows ui"),
        (
            ["choices", "residual", "--again"],
            "is now called `ablations`: python -m flows ablations",
        ),
        (["run", "--side-by-side", "0"], "--side-by-side"),
    ],
)
def test_a_wrong_command_is_an_error_that_names_the_right_one(local_project, args, message):
    process = local_project.command("-m", "flows", *args)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert message in output and "Traceback" not in output
