"""Finding a recipe by its name in params.yaml, or in a YAML file."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from lessonpipe.crappify.own_steps import in_project, use_steps
from lessonpipe.crappify.recipe import Recipe, Steps, steps_of
from lessonpipe.crappify.step import Quality
from lessonpipe.errors import UserError
from lessonpipe.io.strict_yaml import load_yaml

PARAMS = Path("params.yaml")


def named_recipe(name: str | None, steps_file: Path | None = None) -> Recipe:
    """The recipe called `name` in params.yaml, by default the one chosen there, or of a YAML file.

    `quality` and `seed` are those of params.yaml, if it exists. `steps_file` is Python that defines
    steps which the recipe names by dotted paths, beside those of the project's my_steps.py. Raises
    `UserError` for an unknown name, and for a file that is missing or holds no list of steps.
    """
    return recipe_of(named_steps(name, steps_file))


def named_steps(name: str | None, steps_file: Path | None = None) -> Steps:
    """The steps of `named_recipe`. Raises what that raises."""
    in_project(PARAMS.is_file())
    if steps_file is not None:
        use_steps(steps_file)
    is_file = name is not None and name.endswith((".yaml", ".yml"))
    params = read_params() if PARAMS.is_file() or not is_file else {}
    section = params.get("crappify", {})
    chosen = _read(Path(name or "")) if is_file else name or section.get("recipe", "lesson")
    if is_file and not isinstance(chosen, list):
        raise UserError(f"{name}: a recipe is a list of steps, such as `- grey`")
    return steps_of(chosen, params.get("recipes") or {})


def recipe_of(steps: Steps) -> Recipe:
    """The recipe of these steps, with params.yaml's `quality` and `seed`, if it exists."""
    params = read_params() if PARAMS.is_file() else {}
    given = params.get("crappify", {}).get("quality", (10, 70))
    try:
        quality: tuple[int, int] = TypeAdapter(Quality).validate_python(given)
    except ValidationError as error:
        wrong = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{PARAMS}: crappify.quality = {given!r}: {wrong}") from error
    return Recipe(steps, quality=quality, seed=params.get("seed", 42))


def read_params() -> dict[str, Any]:
    """params.yaml as it is. Raises `UserError` when it is not there, or no mapping of sections."""
    params = _read(PARAMS)
    if not isinstance(params, dict) or not isinstance(params.get("crappify", {}), dict):
        raise UserError(f"{PARAMS} holds no sections, such as crappify:")
    return params


def _read(path: Path) -> Any:
    try:
        return load_yaml(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not there; run this in the project's folder, or give --recipe a YAML file"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
