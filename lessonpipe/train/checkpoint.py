"""The last complete state of a training run, found again after any kind of death."""

import io
from dataclasses import dataclass
from typing import Any

import torch

from lessonpipe.io.storage import Storage, to_bytes


@dataclass(frozen=True)
class Checkpoint:
    """One file that is replaced at every epoch, and files that are saved beside it.

    A storage that all machines see lets another machine resume; without a storage (None) nothing
    is saved.
    """

    storage: Storage | None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state by `state`: tensors, numbers, strings, lists, dicts."""
        if self.storage is not None:
            self.storage.write_checked(
                "last.pt", to_bytes(lambda stream: torch.save(state, stream))
            )

    def load(self) -> dict[str, Any] | None:
        """The last state, or None. Read with `weights_only=True`: no code in it is run.

        Raises `UserError` when it is damaged.
        """
        content = None if self.storage is None else self.storage.read_checked("last.pt")
        if content is None:
            return None
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)

    def save_file(self, name: str, content: bytes) -> None:
        """Save a file beside the state."""
        if self.storage is not None:
            self.storage.write_checked(f"files/{name}", content)

    def files(self) -> dict[str, bytes]:
        """Every file that was saved beside the state, by name."""
        if self.storage is None:
            return {}
        names = self.storage.names("files")
        found = {name: self.storage.read_checked(f"files/{name}") for name in names}
        return {name: bytes(content) for name, content in found.items() if content is not None}
