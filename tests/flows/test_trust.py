"""Nobody runs code through Prefect: no page of another origin, no other user of the machine."""

import http.server
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows import server
from tests.browser import needs_browser, open_browser

HOSTILE = """<!doctype html><title>waiting</title><script>
const api = "%s/api/";
const tries = [];
for (const mode of ["cors", "no-cors"])
  for (const type of ["application/json", "text/plain"])
    for (const [method, path, body] of [
      ["PATCH", "deployments/%s", {description: "hostile"}],
      ["POST", "deployments/%s/create_flow_run", {}],
      ["POST", "deployments/filter", {}],
      ["POST", "variables/", {name: "hostile", value: 1}],
    ])
      tries.push(fetch(api + path, {method, mode, credentials: "include",
        headers: {"Content-Type": type}, body: JSON.stringify(body)})
        .then(async (r) => r.type === "opaque" ? "opaque" : r.status + await r.text(), String));
const frame = document.createElement("iframe");
frame.src = "%s/enter#aGFja2VyOnh4";
document.documentElement.append(frame);
Promise.all(tries).then((answers) => {
  window.answers = answers;
  document.title = "done";
});
</script>"""


@pytest.fixture
def hostile() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server of somebody else, and the page that it shows."""
    content: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.get("page", b""))

        def log_message(self, *_: object) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}", content
    web.shutdown()
    web.server_close()


@needs_browser
@pytest.mark.slow
def test_a_page_of_another_origin_can_neither_read_nor_change_nor_start_anything(
    project_with_database, hostile, tmp_path
):
    project = project_with_database
    project.open()
    before = project.deployment("restorer")
    url, content = hostile
    page = HOSTILE % (project.url, before["id"], before["id"], project.url)
    content["page"] = page.encode()
    with open_browser(tmp_path) as tab:
        tab.browser.get(project.entrance)  # the person is in, in the same browser
        tab.see("restorer-here")
        tab.browser.get(url)
        tab.wait.until(lambda browser: browser.title == "done")
        answers = tab.browser.execute_script("return window.answers")
    assert len(answers) == 16
    assert not [text for text in answers if text.startswith("2") or "restorer" in text], answers
    assert project.deployment("restorer")["description"] == before["description"]
    assert project.api("POST", "flow_runs/filter", {}) == []
    assert project.api("POST", "variables/filter", {}) == []


def test_without_the_password_or_a_token_nothing_is_answered(project):
    url = f"{project.url}/api"
    assert httpx.get(f"{url}/health").status_code == 200  # says that it lives, no more
    for request in (
        httpx.get(f"{url}/admin/settings"),
        httpx.post(f"{url}/deployments/filter", json={}),
        httpx.get(f"{url}/admin/settings", auth=("lessonpipe", "guess")),
        httpx.get(f"{url}/csrf-token", params={"client": "a"}),
    ):
        assert request.status_code in (401, 403), request.url
    name, _, secret = project.password.partition(":")
    forged = httpx.post(f"{url}/deployments/filter", json={}, auth=(name, secret))
    assert forged.status_code == 403 and "token" in forged.text.lower()
    assert project.api("POST", "deployments/filter", {}) is not None


def test_another_origin_is_not_allowed_to_read(project):
    asked = {"Origin": "http://127.0.0.1:1", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{project.url}/api/deployments/filter", headers=asked)
    assert "access-control-allow-origin" not in answer.headers
    own = httpx.options(
        f"{project.url}/api/deployments/filter", headers={**asked, "Origin": project.url}
    )
    assert own.headers["access-control-allow-origin"] == project.url


def test_only_this_user_can_read_what_the_server_keeps(first_server):
    home = first_server[1].parent
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert {server.PASSWORD.name, server.DATABASE.name, "server.log"} <= {p.name for p in kept}
    secret = [p for p in kept if p.name.startswith(("password", "prefect.db", "server"))]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_the_password_is_made_once_and_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    first = server.password()
    assert server.password() == first and len(first.partition(":")[2]) >= 32
    server.PASSWORD.unlink()
    assert server.password() != first
