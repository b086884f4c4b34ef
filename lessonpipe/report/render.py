"""HTML pages from the templates of this package: self-contained, every value escaped."""

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from lessonpipe.data.pictures import as_jpeg


def render(template: str, **context: Any) -> str:
    """Returns `templates/TEMPLATE` as HTML; text of `context` is escaped.

    Raises `jinja2.UndefinedError` when the template reads what `context` lacks.
    """
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lessonpipe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def data_uri(content: bytes, media_type: str) -> str:
    """Returns an address that holds the file itself; `media_type` is as `image/webp`."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def jpeg_uri(picture: Image.Image) -> str:
    """Returns an address that holds the picture as a JPEG."""
    return data_uri(as_jpeg(picture), "image/jpeg")
