"""From `params.yaml` to a stage's typed Params. Wrong keys and values end here, in plain words."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lessonpipe.errors import UserError

P = TypeVar("P", bound=BaseModel)
COMMON = ("seed", "precision", "recipes")  # at the top of the file, for stages that declare them
ALL = "all_params"  # a field that holds the whole file, for a stage that reports on it


def load(kind: type[P], stage: str, path: Path = Path("params.yaml")) -> P:
    """The section `stage` of the params file as `kind`.

    The `COMMON` ones that `kind` declares are handed in, and the whole file as `ALL`. Raises
    `UserError` naming the key, what is wrong with it, and what would be right.
    """
    try:
        whole = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; run this in the project's folder") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text file: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    section = whole.get(stage) if isinstance(whole, dict) else None
    if not isinstance(section, dict):
        raise UserError(f"{path} has no section {stage!r}")
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
