"""A Prefect automation that posts to an address when a flow run fails."""

import contextlib
from urllib.parse import urlsplit

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import EventTrigger, Posture

from lessonpipe.errors import UserError

NAME = "a run failed"
PAYLOAD = """{
  "flow": "{{ flow.name }}",
  "run": "{{ flow_run.name }}",
  "state": "{{ flow_run.state.name }}",
  "message": {{ flow_run.state.message | tojson }},
  "page": "{{ flow_run | ui_url }}"
}"""


def notify_of_failures(url: str) -> None:
    """POST `PAYLOAD` to `url` whenever a flow run fails or crashes, in place of an earlier address.

    Raises `UserError` when `url` is no http address.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise UserError(
            f"{url!r} is no address to notify; give one such as https://hooks.example/x"
        )
    block = Webhook(url=url, headers={"Content-Type": "application/json"})
    block_id = block.save("a-run-failed", overwrite=True)
    automation = Automation(
        name=NAME,
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=PAYLOAD)],
    )
    with contextlib.suppress(ValueError):  # there is no earlier one
        Automation.read(name=NAME).delete()  # type: ignore[attr-defined]
    automation.create()
