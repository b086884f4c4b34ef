"""A recipe while it is built: its steps with their settings, and their YAML."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from lessonpipe.app.recipes import PARAMS, read_params, recipe_of
from lessonpipe.crappify.recipe import Recipe, Steps
from lessonpipe.crappify.steps import STEPS
from lessonpipe.nets.io import read_model_json
from lessonpipe.zoo import find_model, names

WIDEST = 4  # times the default: how far a slider goes whose setting has hardly a limit
UNLIMITED = 1000


@dataclass(frozen=True)
class Setting:
    """One setting of a step as its JSON schema says it: its default, limits and kind.

    `kind` is "range" (two numbers), "number", "choice" (some of `options`), "flag" or "text".
    """

    name: str
    kind: str
    default: Any
    low: float = 0
    high: float = 1
    whole: bool = False
    options: tuple[str, ...] = ()


def settings_of(step: str) -> list[Setting]:
    """The settings that a person can set by sliders and boxes, of one of `STEPS`."""
    properties = STEPS[step].model_json_schema()["properties"]
    found = [_setting(name, schema) for name, schema in properties.items()]
    return [setting for setting in found if setting]


def _setting(name: str, schema: Mapping[str, Any]) -> Setting | None:
    default: Any = schema.get("default")
    one = next((s for s in schema.get("anyOf", ()) if s["type"] != "null"), schema)
    kind = one.get("type")
    if kind == "boolean":
        return Setting(name, "flag", default)
    if kind == "string":
        return Setting(name, "text", default)
    if kind in ("integer", "number"):
        return Setting(name, "number", default, one["minimum"], one["maximum"], kind == "integer")
    items = one.get("items", {})
    if "enum" in items:
        return Setting(name, "choice", default, options=tuple(items["enum"]))
    if "minimum" not in one:  # a colour
        return None
    whole = one["prefixItems"][0]["type"] == "integer"
    high = one["maximum"] if one["maximum"] < UNLIMITED else max(WIDEST * max(default), 1)
    return Setting(name, "range", default, one["minimum"], high, whole)


@dataclass(frozen=True)
class BuiltStep:
    """A step of the recipe; `key` is its own for ever, however the steps are ordered."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    key: int = field(default_factory=itertools.count().__next__)

    def value(self, setting: Setting) -> Any:
        """What a setting is now; of a range both ends, where params.yaml may have one number."""
        value = self.settings.get(setting.name, setting.default)
        one = setting.kind == "range" and not isinstance(value, list | tuple)
        return [value, value] if one else value

    def with_setting(self, name: str, value: Any, part: int | None = None) -> "BuiltStep":
        """The step with another value; `part` 0 or 1 is an end of a range, which stays in order."""
        if part is not None:
            setting = next(s for s in settings_of(self.name) if s.name == name)
            ends = list(self.value(setting))
            ends[part] = round(value) if setting.whole else value
            ends[1 - part] = max(ends) if part == 0 else min(ends)
            value = ends
        return replace(self, settings={**self.settings, name: value})


@dataclass(frozen=True)
class BuiltRecipe:
    """The steps in order."""

    steps: tuple[BuiltStep, ...] = ()

    @classmethod
    def of(cls, steps: Steps) -> "BuiltRecipe":
        """From the steps of params.yaml; those of somebody's own module are left out."""
        built = []
        for step in steps:
            name, settings = (step, {}) if isinstance(step, str) else next(iter(step.items()))
            if name in STEPS:
                built.append(BuiltStep(name, dict(settings or {})))
        return cls(tuple(built))

    def added(self, name: str) -> "BuiltRecipe":
        """With a step at the end, its settings the defaults."""
        return BuiltRecipe((*self.steps, BuiltStep(name)))

    def removed(self, key: int) -> "BuiltRecipe":
        """Without a step."""
        return BuiltRecipe(tuple(step for step in self.steps if step.key != key))

    def moved(self, key: int, by: int) -> "BuiltRecipe":
        """With a step earlier (-1) or later (1), if there is place."""
        steps = list(self.steps)
        place = next((i for i, step in enumerate(steps) if step.key == key), -1)
        other = place + by
        if place >= 0 and 0 <= other < len(steps):
            steps[place], steps[other] = steps[other], steps[place]
        return BuiltRecipe(tuple(steps))

    def with_setting(
        self, key: int, name: str, value: Any, part: int | None = None
    ) -> "BuiltRecipe":
        """With another value of a step's setting."""
        return BuiltRecipe(
            tuple(s.with_setting(name, value, part) if s.key == key else s for s in self.steps)
        )

    def as_steps(self) -> Steps:
        """The steps as params.yaml has them; what is as by default is left out."""
        found: Steps = []
        for step in self.steps:
            defaults = {s.name: _plain(s.default) for s in settings_of(step.name)} | {"p": 1}
            changed = {k: v for k, v in step.settings.items() if _plain(v) != defaults.get(k)}
            found.append({step.name: changed} if changed else step.name)
        return found

    def as_yaml(self) -> str:
        """What belongs into params.yaml."""
        recipes = {"recipes": {"mine": _plain(self.as_steps())}}
        return yaml.safe_dump(recipes, sort_keys=False, default_flow_style=None, width=60)

    def recipe(self) -> Recipe:
        """The recipe itself. Raises `UserError` where there is no step."""
        return recipe_of(self.as_steps())


def _plain(value: Any) -> Any:
    """Tuples as lists, which YAML can say."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value


def known_recipes() -> dict[str, Steps]:
    """Recipes to start from: the folder's in params.yaml, and those of the package's models."""
    own = read_params().get("recipes") if PARAMS.is_file() else None
    shipped = {name: read_model_json(find_model(name)).get("recipe", []) for name in names()}
    return {**shipped, **(own or {})}
