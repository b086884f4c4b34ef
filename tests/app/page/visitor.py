"""A visitor without a browser: what Gradio's own frontend sends, by plain HTTP."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx


class Visitor:
    """One tab of a browser: a session of its own, which uploads, restores and downloads."""

    def __init__(self, url: str, **how: Any) -> None:
        self.http = httpx.Client(base_url=f"{url}/gradio_api/", timeout=300, **how)
        self.session = uuid4().hex[:11]
        config = self.http.get(f"{url}/config").raise_for_status().json()
        named = {c["id"]: c for c in config["components"]}
        names = {i: c["props"].get("elem_id") for i, c in named.items()}
        self.run = next(  # what the button Restore starts
            d
            for d in config["dependencies"]
            if "all" in map(names.get, d["outputs"]) and d["queue"]
        )
        self.defaults = [named[i]["props"].get("value") for i in self.run["inputs"]]
        self.outputs = [names[i] for i in self.run["outputs"]]

    def upload(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        """The files as the page then names them."""
        parts = [("files", (file.name, file.read_bytes())) for file in files]
        paths = self.http.post("upload", files=parts).raise_for_status().json()
        return [
            {"path": path, "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}
            for path, file in zip(paths, files, strict=True)
        ]

    def join(self, files: list[dict[str, Any]]) -> None:
        """Press Restore."""
        body = {
            "data": [files, *self.defaults[1:]],
            "fn_index": self.run["id"],
            "session_hash": self.session,
        }
        self.http.post("queue/join", json=body).raise_for_status()

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the page says until the work has ended."""
        with self.http.stream("GET", "queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    yield message
                    if message["msg"] in ("process_completed", "close_stream"):
                        return

    def restored(self, files: Sequence[Path]) -> tuple[bytes, list[dict[str, Any]]]:
        """The first file as it can be downloaded in the end, and all messages."""
        self.join(self.upload(files))
        messages = list(self.messages())
        address = None
        for message in messages:
            address = _url(message, self.outputs.index("one")) or address
        assert address, messages[-1]
        return self.http.get(address).raise_for_status().content, messages


def _url(message: dict[str, Any], index: int) -> str | None:
    """The address of a download button's file; of later answers only differences are sent."""
    answer = json.dumps(message.get("output", {}).get("data", [])[index : index + 1])
    found = re.search(r'"url": "([^"]+)"', answer)
    return found and found[1]
