"""A journal: a file of JSON lines that outlives kills, one line for each thing that was done."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lessonpipe.io.atomic import naming
from lessonpipe.io.sync import sync_folder, sync_stream

MAX_LINE_BYTES = 16_000_000  # a longer one is no row: a power cut may leave a file of zeros


@dataclass(frozen=True)
class Journal:
    """The JSON objects in the file `path`, one a line, oldest first."""

    path: Path

    def append(self, row: Mapping[str, Any], *, fsync: bool = False) -> None:
        """Add a line; with `fsync` it outlives a power cut.

        One that a killed process left unfinished stays a line of its own.
        """
        self.extend([row], fsync=fsync)

    def extend(self, rows: Iterable[Mapping[str, Any]], *, fsync: bool = False) -> None:
        """Add lines, all at once; with `fsync` they outlive a power cut."""
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        with naming(self.path), open(self.path, "ab+") as stream:
            is_new = not stream.tell()
            if not is_new:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    lines = b"\n" + lines
            stream.write(lines)
            if fsync:
                stream.flush()
                sync_stream(stream.fileno())
        if fsync and is_new:
            sync_folder(self.path.parent)

    def read(self) -> list[dict[str, Any]]:
        """All rows, without lines that are unfinished or damaged; none when there is no file."""
        if not self.path.is_file():
            return []
        with open(self.path, "rb") as stream:
            return [row for row in map(_parse, _lines(stream)) if isinstance(row, dict)]


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a file but those that are too long, of which a piece is in memory at a time."""
    whole = True
    while line := stream.readline(MAX_LINE_BYTES):
        ends = line.endswith(b"\n")
        if whole and (ends or len(line) < MAX_LINE_BYTES):
            yield line
        whole = ends


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
