"""The last whole state of a training run, found again after any kind of death."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Checkpoint:
    """One file that is replaced whole at every epoch. `folder=None` keeps nothing."""

    folder: Path | None

    @property
    def _file(self) -> Path | None:
        return None if self.folder is None else self.folder / "last.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write `state` (tensors, numbers, strings, lists, dicts) under a temporary name, sync
        it to the disk, then rename."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".draft")
        with open(draft, "wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, self._file)

    def load(self) -> dict[str, Any] | None:
        """The last state, or None. Read with `weights_only=True`: no code in it is run."""
        if self._file is None or not self._file.is_file():
            return None
        return torch.load(self._file, map_location="cpu", weights_only=True)

    def clear(self) -> None:
        """Forget it: the run is done."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
