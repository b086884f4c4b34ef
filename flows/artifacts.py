"""What a stage leaves to look at, shown in Prefect: pictures and tables of measures."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import Artifact, create_markdown_artifact, create_table_artifact

from flows.stages import Stage
from lessonpipe.files import read_json

MOST_BYTES = 300_000  # an artifact is a row of a database


def publish(stage: Stage) -> None:
    """Make artifacts of the stage's pictures and measures; what is shown already stays.

    Raises `OSError` or `ValueError` for files that cannot be read.
    """
    for path in stage.pictures:
        picture = base64.b64encode(small_jpeg(path)).decode()
        markdown = f"![{path.name}](data:image/jpeg;base64,{picture})"
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


def small_jpeg(path: Path, width: int = 1600) -> bytes:
    """The picture as a JPEG of at most `MOST_BYTES`, narrowed as far as that takes."""
    with Image.open(path) as file:
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
