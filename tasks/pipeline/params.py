"""From `params.yaml` to a stage's typed Params. Wrong keys and values end here, in plain words."""

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
    """The sections of a params file as they are; none of a file without any.

    Raises `UserError` when the file is missing or is not YAML.
    """
    try:
        whole = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; run this in the project's folder") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text file: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    return whole if isinstance(whole, dict) else {}


def load(kind: type[P], stage: str, path: Path = Path("params.yaml"), *, partly: bool = False) -> P:
    """The section `stage` of the params file as `kind`; `partly` leaves out what is not of it.

    The `COMMON` ones that `kind` declares are handed in, and the whole file as `ALL`. Raises
    `UserError` naming the key, what is wrong with it, and what would be right.
    """
    whole = read(path)
    section = whole.get(stage)
    if not isinstance(section, dict):
        raise UserError(f"{path} has no section {stage!r}")
    if old := sorted(renamed_keys(stage, section)):
        raise UserError(f"{path}: " + "; ".join(old))
    if partly:
        section = {k: v for k, v in section.items() if k in kind.model_fields}
    common = {k: whole[k] for k in COMMON if k in whole and k in kind.model_fields}
    document = {ALL: whole} if ALL in kind.model_fields else {}
    try:
        return kind(**{**common, **section, **document})
    except ValidationError as error:
        raise UserError(_in_words(error, kind, stage, path)) from error


def _in_words(error: ValidationError, kind: type[BaseModel], stage: str, path: Path) -> str:
    lines = []
    for wrong in error.errors():
        own = [] if wrong["loc"][:1] and wrong["loc"][0] in COMMON else [stage]
        where = ".".join([*own, *(str(part) for part in wrong["loc"])])
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
