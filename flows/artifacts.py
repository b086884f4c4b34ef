"""Prefect artifacts of a stage: its progress, its images and its metrics."""

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
from lessonpipe.io.progress import Progress

MAX_JPEG_BYTES = 300_000  # an artifact is a row of a database
UPDATE_SECONDS = 2.0  # at least, between two updates of a stage's progress
UPDATE_SECONDS_AFTER_ERROR = 60.0


class ProgressArtifact:
    """A live artifact of how far a stage's current part is, such as an epoch.

    Updates are rare, so that they cost little, and no run fails when the server does not answer.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._artifact: Any = None
        self._not_before = 0.0

    def update(self, progress: Progress) -> None:
        """Show the percentage, if it is known and the last update is long enough ago."""
        if progress.percent is not None and time.monotonic() >= self._not_before:
            self._show(progress.percent, f"{self.stage}, {progress}")

    def finish(self) -> None:
        """Show 100 percent, if anything was shown."""
        if self._artifact:
            self._show(100.0, f"{self.stage}: done")

    def _show(self, percent: float, text: str) -> None:
        wait = UPDATE_SECONDS
        try:
            if self._artifact:
                update_progress_artifact(self._artifact, percent, text)
            else:
                key = artifact_key(self.stage, Path("progress"))
                self._artifact = create_progress_artifact(percent, key, text)
        except Exception as error:  # whatever a server in trouble answers
            logging.getLogger(__name__).debug("%s: progress is not shown: %r", text, error)
            wait = UPDATE_SECONDS_AFTER_ERROR
        self._not_before = time.monotonic() + wait


def publish(stage: Stage) -> None:
    """Make artifacts of the stage's images and metrics, but for those that are shown already.

    Raises `OSError` or `ValueError` for files that cannot be read.
    """
    for path in stage.images:
        markdown = f"![{path.name}]({data_url(path)})"
        key = artifact_key(stage.name, path)
        if not _is_shown(key, markdown):
            create_markdown_artifact(markdown, key, f"{path.name} of stage {stage.name}")
    for path in stage.metrics:
        key = artifact_key(stage.name, path)
        rows = [{"measure": name, "value": value} for name, value in flatten(read_json(path))]
        if not _is_shown(key, json.dumps(rows)):
            create_table_artifact(rows, key, f"{path.name} of stage {stage.name}")


def artifact_key(stage: str, path: Path) -> str:
    """The name of an artifact: Prefect allows lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{stage}-{path.stem}".lower()).strip("-")


def data_url(path: Path) -> str:
    """A `data:` URL with the image in it: an SVG as it is, any other as a JPEG."""
    is_svg = path.suffix.lower() == ".svg"
    content = path.read_bytes() if is_svg else small_jpeg(path)
    kind = "svg+xml" if is_svg else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def small_jpeg(path: Path, width: int = 1600) -> bytes:
    """The image, or a film's last frame, as a JPEG of at most `MAX_JPEG_BYTES`.

    It is scaled down to `width` pixels, and further as far as the size in bytes asks for.
    """
    with Image.open(path) as file:
        file.seek(getattr(file, "n_frames", 1) - 1)
        picture = file.convert("RGB")
    while True:
        picture.thumbnail((width, 4 * width))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        if buffer.tell() <= MAX_JPEG_BYTES:
            return buffer.getvalue()
        width = picture.width * 4 // 5


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of a nested JSON value with its path: `128 gan psnr_gain mean`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name} {key}".strip())
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from flatten(inner, f"{name} {i}".strip())
    else:
        yield name, round(value, 4) if isinstance(value, float) else value


def _is_shown(key: str, data: str) -> bool:
    newest: Any = Artifact.get(key)
    return newest is not None and newest.data == data
