"""From `params.yaml` to a stage's typed Params; wrong keys and values are errors in a sentence."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lessonpipe.errors import UserError
from lessonpipe.io.strict_yaml import load_yaml
from tasks.pipeline.renamed import renamed_keys

P = TypeVar("P", bound=BaseModel)
COMMON = ("seed", "precision", "recipes")  # at the top of the file, for stages that declare them
ALL = "all_params"  # a field that holds the whole file, for a stage that reports on it


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """The sections of a params file as they are; empty for a file without sections.

    Raises `UserError` when the file is missing or is not YAML.
    """
    try:
        document = load_yaml(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; run this in the project's folder") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text file: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return document if isinstance(document, dict) else {}


def load_stage(module: Any, stage: str, path: Path = Path("params.yaml")) -> Any:
    """The `Params` of a stage's module: of its section, or of `SECTION`, laid over that of `BASE`.

    Raises what `load` raises.
    """
    section = getattr(module, "SECTION", stage)
    return load(module.Params, section, path, base=getattr(module, "BASE", None))


def load(
    kind: type[P],
    stage: str,
    path: Path = Path("params.yaml"),
    *,
    base: str | None = None,
    partly: bool = False,
) -> P:
    """The section `stage` of the params file as `kind`; `partly` leaves out what is not of it.

    What the section does not say comes from the section `base`. The `COMMON` ones that `kind`
    declares are handed in, and the whole file as `ALL`. Raises `UserError` naming the key, what is
    wrong with it, and what would be right.
    """
    document = read(path)
    for name in filter(None, (base, stage)):
        if not isinstance(document.get(name), dict):
            raise UserError(f"{path} has no section {name!r}")
        if old := sorted(renamed_keys(name, document[name])):
            raise UserError(f"{path}: " + "; ".join(old))
    own = document[stage]
    section = {**document[base], **own} if base else own
    if partly:
        section = {k: v for k, v in section.items() if k in kind.model_fields}
    common = {k: document[k] for k in COMMON if k in document and k in kind.model_fields}
    everything = {ALL: document} if ALL in kind.model_fields else {}
    try:
        return kind(**{**common, **section, **everything})
    except ValidationError as error:
        sections = {key: stage if key in own or not base else base for key in section}
        raise UserError(_message(error, kind, sections, stage, base, path)) from error


def phase_of(p: Any, stage: str, number: int) -> Any:
    """A phase of a training stage, or a network of its sweep, counted from 1.

    Raises `UserError` when there is none of that number.
    """
    kind = "runs" if hasattr(p, "runs") else "phases"
    found = getattr(p, kind)
    if not 1 <= number <= len(found):
        raise UserError(f"{stage} has {len(found)} {kind}; there is no phase {number}")
    return found[number - 1]


def _message(
    error: ValidationError,
    kind: type[BaseModel],
    sections: dict[str, str],
    stage: str,
    base: str | None,
    path: Path,
) -> str:
    lines = []
    for wrong in error.errors():
        key = str(wrong["loc"][0]) if wrong["loc"] else ""
        section = [] if key in COMMON else [sections.get(key, stage)]
        where = ".".join([*section, *map(str, wrong["loc"])])
        if wrong["type"] == "extra_forbidden":
            known = ", ".join(_known(kind, wrong["loc"][:-1]))
            lines.append(f"{where} is unknown; the keys here are: {known}")
        elif wrong["type"] == "missing":
            lines.append(f"{where} is missing" + (f", in {base} too" if base else ""))
        else:
            what = wrong["msg"].removeprefix("Value error, ")
            lines.append(f"{where} = {wrong['input']!r}: {what}")
    return f"{path}: " + "; ".join(lines)


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
