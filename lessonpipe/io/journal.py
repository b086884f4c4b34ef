"""A journal: a file of JSON lines that outlives kills, one line for each thing that was done."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Journal:
    """The JSON objects in the file `path`, one a line, oldest first."""

    path: Path

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line. One that a killed process left unfinished stays a line of its own."""
        with open(self.path, "ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    stream.write(b"\n")
            stream.write(json.dumps(row).encode() + b"\n")

    def read(self) -> list[dict[str, Any]]:
        """All rows but unfinished ones; none when there is no file."""
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        return [row for row in map(_parse, lines) if isinstance(row, dict)]


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
