"""What there is to see of a stage in Prefect: how far it is, its pictures and its measures."""

import base64
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.dvc import Stage
from lessonpipe.io.atomic import read_json

MOST_BYTES = 300_000  # an artifact is a row of a database
EVERY = 2.0  # seconds between two looks at how far a stage is
AFTER_TROUBLE = 60.0
BAR = re.compile(
    r"(?P<part>.+?): +(?P<percent>\d+)%\|.*\| (?P<count>.*)"
)  # of lessonpipe.io.progress


class Progress:
    """How far a stage's part is, live, as an artifact; a part is what has a bar: an epoch, say.

    It costs little, and no run fails of it: what cannot be told now is told later.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._artifact: Any = None
        self._not_before = 0.0

    def hear(self, line: str) -> None:
        """Show the percent if the line is a bar."""
        bar = BAR.fullmatch(line)
        if bar and time.monotonic() >= self._not_before:
            self._show(float(bar["percent"]), f"{self.stage}, {bar['part']}: {bar['count']}")

    def done(self) -> None:
        """The stage has ended well."""
        if self._artifact:
            self._show(100.0, f"{self.stage}: done")

    def _show(self, percent: float, words: str) -> None:
        wait = EVERY
        try:
            if self._artifact:
                update_progress_artifact(self._artifact, percent, words)
            else:
                self._artifact = create_progress_artifact(
                    percent, key_of(self.stage, Path("progress")), words
                )
        except Exception as error:  # whatever a server in trouble answers
            logging.getLogger(__name__).debug("%s: its progress is not shown: %r", words, error)
            wait = AFTER_TROUBLE
        self._not_before = time.monotonic() + wait


def publish(stage: Stage) -> None:
    """Make artifacts of the stage's pictures and measures; what is shown already stays.

    Raises `OSError` or `ValueError` for files that cannot be read.
    """
    for path in stage.pictures:
        markdown = f"![{path.name}]({inline(path)})"
        key = key_of(stage.name, path)
        if not _shown(key, markdown):
            create_markdown_artifact(markdown, key, f"{path.name} of stage {stage.name}")
    for path in stage.metrics:
        key = key_of(stage.name, path)
        rows = [{"measure": name, "value": value} for name, value in leaves(read_json(path))]
        if not _shown(key, json.dumps(rows)):
            create_table_artifact(rows, key, f"{path.name} of stage {stage.name}")


def key_of(stage: str, path: Path) -> str:
    """The name of an artifact: Prefect allows lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{stage}-{path.stem}".lower()).strip("-")


def inline(path: Path) -> str:
    """An address that holds the whole picture: an SVG as it is, any other as a JPEG."""
    svg = path.suffix.lower() == ".svg"
    content = path.read_bytes() if svg else small_jpeg(path)
    kind = "svg+xml" if svg else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def small_jpeg(path: Path, width: int = 1600) -> bytes:
    """The picture as a JPEG of at most `MOST_BYTES`, narrowed as far as that takes.

    Of a film it is the last picture.
    """
    with Image.open(path) as file:
        file.seek(getattr(file, "n_frames", 1) - 1)
        picture = file.convert("RGB")
    while True:
        picture.thumbnail((width, 4 * width))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        if buffer.tell() <= MOST_BYTES:
            return buffer.getvalue()
        width = picture.width * 4 // 5


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a nested JSON value, with the way to it: `128 gan psnr_gain mean`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name} {key}".strip())
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{name} {i}".strip())
    else:
        yield name, round(value, 4) if isinstance(value, float) else value


def _shown(key: str, data: str) -> bool:
    newest: Any = Artifact.get(key)
    return newest is not None and newest.data == data
