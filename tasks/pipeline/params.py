"""From `params.yaml` to a stage's typed Params; wrong keys and values are errors in a sentence."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lessonpipe.errors import UserError
from tasks.pipeline.renamed import renamed_keys

P = TypeVar("P", bound=BaseModel)
COMMON = ("seed", "precision", "recipes")  # at the top of the file, for stages that declare them
ALL = "all_params"  # a field that holds the whole file, for a stage that reports on it


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """The sections of a params file as they are; empty for a file without sections.

    Raises `UserError` when the file is missing or is not YAML.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; run this in the project's folder") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text file: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    return document if isinstance(document, dict) else {}


def load(kind: type[P], stage: str, path: Path = Path("params.yaml"), *, partly: bool = False) -> P:
    """The section `stage` of the params file as `kind`; `partly` leaves out what is not of it.

    The `COMMON` ones that `kind` declares are handed in, and the whole file as `ALL`. Raises
    `UserError` naming the key, what is wrong with it, and what would be right.
    """
    document = read(path)
    section = document.get(stage)
    if not isinstance(section, dict):
        raise UserError(f"{path} has no section {stage!r}")
    if old := sorted(renamed_keys(stage, section)):
        raise UserError(f"{path}: " + "; ".join(old))
    if partly:
        section = {k: v for k, v in section.items() if k in kind.model_fields}
    common = {k: document[k] for k in COMMON if k in document and k in kind.model_fields}
    everything = {ALL: document} if ALL in kind.model_fields else {}
    try:
        return kind(**{**common, **section, **everything})
    except ValidationError as error:
        raise UserError(_message(error, kind, stage, path)) from error


def _message(error: ValidationError, kind: type[BaseModel], stage: str, path: Path) -> str:
    lines = []
    for wrong in error.errors():
        is_common = wrong["loc"][:1] and wrong["loc"][0] in COMMON
        where = ".".join([*([] if is_common else [stage]), *map(str, wrong["loc"])])
        if wrong["type"] == "extra_forbidden":
            known = ", ".join(_known(kind, wrong["loc"][:-1]))
            lines.append(f"{where} is unknown; the keys here are: {known}")
        elif wrong["type"] == "missing":
            lines.append(f"{where} is missing")
        else:
            what = wrong["msg"].removeprefix("Value error, ")
            lines.append(f"{where} = {wrong['input']!r}: {what}")
    return f"{path}: " + "\n".join(lines)


def _known(kind: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        if not isinstance(part, str):
            continue
        field = kind.model_fields.get(part)
        options = getattr(field.annotation, "__args__", (field.annotation,)) if field else ()
        inner = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not inner:
            break
        kind = inner[0]
    return sorted(set(kind.model_fields) - {ALL})
