"""Training through this folder's Prefect server, for programs that only ask: no flow runs here."""

from typing import Any
from uuid import uuid4

import httpx

from flows import server
from lessonpipe.app.page.training import Run
from lessonpipe.crappify.recipe import Steps
from lessonpipe.errors import UserError

CURE = "start Prefect in this folder first: make ui, or lessonpipe flows ui"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class PrefectTraining:
    """Starts the flow `train`, and asks how far it is."""

    def start(self, recipe: Steps) -> str:
        """Start a training; returns its id. Raises `UserError` when no server takes runs."""
        deployment = _api("GET", "deployments/name/train/train-here")
        body = {"parameters": {"recipe": recipe}, "state": {"type": "SCHEDULED"}}
        return str(_api("POST", f"deployments/{deployment['id']}/create_flow_run", body)["id"])

    def look(self, run: str) -> Run:
        """How far a training is. Raises `UserError` when no server runs."""
        state = _api("GET", f"flow_runs/{run}")["state"]
        message = state["message"] or state["name"]
        if state["type"] in ENDED:
            return Run(message, 100.0, ended=True, succeeded=state["type"] == "COMPLETED")
        subflows = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        runs = [run, *(r["id"] for r in _api("POST", "flow_runs/filter", subflows))]
        query = {
            "artifacts": {"flow_run_id": {"any_": runs}, "type": {"any_": ["progress"]}},
            "sort": "UPDATED_DESC",
            "limit": 1,
        }
        for artifact in _api("POST", "artifacts/filter", query):
            return Run(str(artifact["description"]), float(artifact["data"]))
        return Run(message, 0.0)


def csrf_headers(client: httpx.Client) -> dict[str, str]:
    """The token that Prefect asks for where something is changed."""
    name = uuid4().hex
    found = client.get("csrf-token", params={"client": name}).raise_for_status().json()
    return {"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": found["token"]}


def _api(method: str, path: str, body: Any = None) -> Any:
    """The answer of this folder's server. Raises `UserError` when there is none."""
    url = server.running()
    if url is None:
        raise UserError(f"no Prefect server runs here; {CURE}")
    try:
        with httpx.Client(base_url=f"{url}/api/", auth=server.credentials(), timeout=20) as client:
            if method != "GET":
                client.headers.update(csrf_headers(client))
            return client.request(method, path, json=body).raise_for_status().json()
    except httpx.HTTPError as error:
        raise UserError(f"Prefect at {url} does not take trainings: {error}; {CURE}") from error
