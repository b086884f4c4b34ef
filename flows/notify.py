"""Tell somebody when a run fails: an automation of Prefect's, which calls an address."""

import contextlib
from urllib.parse import urlsplit

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import EventTrigger, Posture

from lessonpipe.errors import UserError

NAME = "a run failed"
TELL = """{
  "flow": "{{ flow.name }}",
  "run": "{{ flow_run.name }}",
  "state": "{{ flow_run.state.name }}",
  "message": {{ flow_run.state.message | tojson }},
  "page": "{{ flow_run | ui_url }}"
}"""


def when_a_run_fails(url: str) -> None:
    """POST `TELL` as JSON to `url` whenever a flow run fails or crashes; replaces an earlier one.

    Raises `UserError` when `url` is no http address.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise UserError(
            f"{url!r} is no address to notify; give one such as https://hooks.example/x"
        )
    block = Webhook(url=url, headers={"Content-Type": "application/json"})
    document = block.save("a-run-failed", overwrite=True)
    automation = Automation(
        name=NAME,
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[CallWebhook(block_document_id=document, payload=TELL)],
    )
    with contextlib.suppress(ValueError):  # there was none
        Automation.read(name=NAME).delete()  # type: ignore[attr-defined]
    automation.create()
