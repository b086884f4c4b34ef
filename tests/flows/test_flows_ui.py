import signal
import socket

import httpx
import pytest

from tests.conftest import PATIENCE


@pytest.fixture
def page(settled):
    """`python -m flows ui`, ready to take runs."""
    settled.open("--cron", "0 3 * * *")
    return settled


@pytest.mark.slow
def test_the_page_takes_runs_cancels_them_and_ends_with_everything_it_started(page):
    served = page.deployment("restorer")
    assert served["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    told = served["parameter_openapi_schema"]["properties"]
    assert "with all they depend on" in told["stages"]["description"]
    assert told["stages"]["items"]["enum"] == ["a", "c", "b", "evaluate"]
    assert told["side_by_side"]["minimum"] == 1

    assert page.api("GET", "admin/settings")["server"]["analytics_enabled"] is False
    assert "<html" in httpx.get(page.url, follow_redirects=True).text

    run = page.start("restorer", stages=["b"])
    assert page.until(lambda: page.ended(run)) == "COMPLETED"
    assert (page.folder / "b.txt").exists()
    assert not (page.folder / "c.txt").exists()

    page.url, url = "", page.url
    assert f"View at {url}/" in page.run("a").said  # a run by hand shows on the same page
    page.url = url

    page.slow(b=2 * PATIENCE)
    run = page.start("restorer", stages=["b"])
    page.until(lambda: page.stage_runs("b"))
    page.api("POST", f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert page.until(lambda: page.ended(run), 40) == "CANCELLED"
    assert not page.stage_runs("b")
    asked = {"flow_runs": {"id": {"any_": [run]}}}
    tasks = page.api("POST", "task_runs/filter", asked)
    assert {t["name"]: t["state_name"] for t in tasks} == {"a": "Cached", "b": "Cancelled"}

    second = page.command("-m", "flows", "ui", "--port", "1")
    assert f"the page of this folder is open already: {page.url}" in second.communicate()[0]
    assert second.returncode == 2

    page.start("restorer", stages=["c"])  # and ctrl-C while a stage is at work
    page.slow(c=2 * PATIENCE)
    page.until(lambda: page.stage_runs("c"))
    page.ui.send_signal(signal.SIGINT)
    said, _ = page.ui.communicate(timeout=40)
    assert page.ui.returncode == 130, said
    assert not page.processes()
    assert f"flows: {page.url}/deployments (ctrl-C ends it)" in said


@pytest.mark.slow
def test_a_schedule_starts_a_run_by_itself(settled):
    settled.open("--cron", "* * * * * */20")  # every twenty seconds
    settled.until((settled.folder / "evaluate.txt").exists)
    done = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    run, *_ = settled.until(lambda: settled.api("POST", "flow_runs/filter", done))
    assert run["auto_scheduled"]


@pytest.mark.slow
def test_a_page_that_is_killed_takes_server_and_runs_along(page):
    page.slow(a=2 * PATIENCE)
    page.start("restorer")
    page.until(lambda: page.stage_runs("a"))
    page.ui.kill()
    page.until(lambda: not page.processes(), 40)


def test_a_port_that_is_taken_is_told_plainly(desk):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ui = desk.command("-m", "flows", "ui", "--port", str(port))
        said, _ = ui.communicate(timeout=30)
    assert ui.returncode == 2
    assert said == (
        f"flows: port {port} on 127.0.0.1 cannot be had (Address already in use); "
        f"end what uses it, or choose another: python -m flows ui --port {port + 1}\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["--cron", "at three"], ["--cron", "0 3 * * *", "--timezone", "X"]]
)
def test_a_schedule_that_is_none_is_told_plainly(desk, words):
    ui = desk.command("-m", "flows", "ui", *words)
    said, _ = ui.communicate(timeout=30)
    assert ui.returncode == 2
    assert "is no schedule; minute, hour, day, month, weekday" in said


def test_serving_without_a_server_says_how_to_get_one(desk):
    process = desk.command("-m", "flows", "serve")
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "python -m flows ui" in said
