"""A recipe: steps in order, whose random choices depend on the seed and the picture's name alone.

The same name and seed give the same picture on any machine and with any number of workers.
"""

import inspect
import io
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from pydantic import ValidationError

from lessonpipe.crappify.color_jitter import color_jitter
from lessonpipe.crappify.own_steps import own_step, told
from lessonpipe.crappify.step import Random, Step
from lessonpipe.crappify.steps import STEPS
from lessonpipe.crappify.steps.jpeg import Jpeg
from lessonpipe.errors import LessonpipeError, UserError, one_of

Degrade = Callable[[Image.Image, Random], Image.Image]
Steps = list[str | dict[str, dict[str, Any] | None]]


def steps_of(recipe: str | Steps, recipes: Mapping[str, Steps]) -> Steps:
    """The steps of a recipe that is a name in `recipes` or the steps themselves.

    Raises `UserError`, listing the right names, for a wrong one, and for what is no list of steps.
    """
    if not isinstance(recipes, Mapping):
        raise UserError(f"recipes: a mapping from names to lists of steps, not {recipes!r}")
    if isinstance(recipe, list):
        return recipe
    if not isinstance(recipe, str):
        raise UserError(f"a recipe is a name or a list of steps, such as `- grey`, not {recipe!r}")
    if recipe not in recipes:
        raise one_of("recipe", recipe, recipes)
    if not isinstance(recipes[recipe], list):
        raise UserError(f"the recipe {recipe!r} is no list of steps: {recipes[recipe]!r}")
    return recipes[recipe]


def damage_of(steps: Steps) -> list[str]:
    """What people call the damage of each step, such as "JPEG compression".

    Each is named once, and what no training picture has is left out. Raises what `Recipe` raises.
    """
    return list(dict.fromkeys(step.damage for step in Recipe(steps).steps if not step.unseen))


@dataclass(frozen=True)
class RecipeStep:
    """A step, the probability `p` that a picture gets it, and whether no training picture does.

    Unseen steps are for validation alone: they measure whether a network has learnt damage, or the
    shapes that its training pictures had.
    """

    title: str
    degrade: Degrade
    p: float = 1.0
    unseen: bool = False

    @property
    def key(self) -> str:
        """What the step is called where steps are left out."""
        return f"{self.title} (unseen)" if self.unseen else self.title

    @property
    def damage(self) -> str:
        """What people call the damage: the step's own word, else the last part of its name."""
        own = str(getattr(self.degrade, "damage", ""))
        return own or self.title.rpartition(".")[2].replace("_", " ")

    @property
    def keeps_colour(self) -> bool:
        """Whether the step could be undone on a picture of any colours."""
        return bool(getattr(self.degrade, "keeps_colour", False))

    def __call__(self, picture: Image.Image, rng: Random) -> Image.Image:
        """The degraded picture, or the same if `rng.skip` leaves the step out.

        What is skipped draws its numbers all the same, so that later steps draw theirs. Raises
        `UserError` for a step that fails or returns something else.
        """
        try:
            degraded = self.degrade(picture, rng)
        except LessonpipeError:
            raise
        except Exception as error:
            raise UserError(f"recipe step {self.title!r} failed: {told(error)}") from error
        if not isinstance(degraded, Image.Image) or degraded.mode != "RGB":
            made = getattr(degraded, "mode", type(degraded).__name__)
            raise UserError(f"recipe step {self.title!r} must return an RGB picture, not {made}")
        return picture if self.key in rng.skip else degraded

    def drawn(self, rng: Random) -> bool:
        """Whether this picture gets the step; a step that all get draws no number."""
        return self.p == 1 or rng.random() < self.p


class Recipe:
    """Steps that degrade a picture, one after the other.

    `steps` is a list like `[{"resize": {"shorter": 96}}, "grey", {"my_steps.rain": {}}]`: a
    name in `STEPS`, or of a file of one's own (`own_step`) a `Step` class or a function
    `(picture, rng, **settings) -> picture`; any may have `p` and `unseen` of `RecipeStep`, too.
    `quality` is the range of the JPEG quality, drawn once a picture. `undamaged_share` is the share
    of training pictures that stay as they are, so that a network learns to leave alone what is not
    damaged; `jitter_share` is the share whose colours are changed before, of those pictures whose
    steps can all be undone on any colours. `target` are steps that make of each photo what the
    network is to make of it, by default the photo itself: a drawing, say, for a network that draws.
    Raises `UserError` for unknown steps and settings.
    """

    def __init__(
        self,
        steps: Iterable[str | Mapping[str, Any]],
        *,
        quality: tuple[int, int] = (10, 70),
        seed: int = 42,
        undamaged_share: float = 0.0,
        jitter_share: float = 0.0,
        target: Steps | None = None,
    ) -> None:
        self.quality, self.seed, self.undamaged_share = quality, seed, undamaged_share
        self.jitter_share = jitter_share
        self.steps = [_read(step) for step in steps]
        if not self.steps:
            raise UserError("the recipe has no steps; give at least one, such as `- grey`")
        self.target = Recipe(target, quality=quality, seed=seed) if target is not None else None
        if self.target and self.target.unseen_steps:
            raise UserError("every picture gets a target's steps: none of them can be unseen")

    @property
    def local_steps(self) -> list[str]:
        """The keys of the steps that damage parts of a picture and leave the rest unchanged."""
        return [step.key for step in self.steps if getattr(step.degrade, "is_local", False)]

    @property
    def unseen_steps(self) -> list[str]:
        """The keys of the steps that no training picture gets."""
        return [step.key for step in self.steps if step.unseen]

    def rng(self, name: str, without: Iterable[str] = ()) -> Random:
        """The random generator of the picture called `name`; steps in `without` have no effect."""
        rng = Random(f"{self.seed}/{name}")
        rng.quality, rng.skip = rng.randint(*self.quality), frozenset(without)
        return rng

    def drawn_steps(self, rng: Random) -> list[RecipeStep]:
        """The steps that a picture gets: the first numbers that its generator draws."""
        return [step for step in self.steps if step.drawn(rng)]

    def spares(self, name: str) -> bool:
        """Whether the training picture called `name` stays undamaged."""
        return random.Random(f"{self.seed}/undamaged/{name}").random() < self.undamaged_share

    def jittered(self, picture: Image.Image, name: str) -> Image.Image:
        """The training picture called `name`, in other colours if it is one of that share."""
        if not all(step.keeps_colour for step in self.drawn_steps(self.rng(name))):
            return picture
        rng = random.Random(f"{self.seed}/jitter/{name}")
        return color_jitter(picture, rng) if rng.random() < self.jitter_share else picture

    def degrade(
        self, picture: Image.Image, name: str, *, without: Iterable[str] = ()
    ) -> Image.Image:
        """The crappy version of an RGB `picture`. Steps named in `without` are left out."""
        rng = self.rng(name, without)
        for step in self.drawn_steps(rng):
            picture = step(picture, rng)
        return picture

    def encode(
        self, picture: Image.Image, name: str, *, without: Iterable[str] = ()
    ) -> tuple[bytes, str]:
        """The crappy version as the content of a file, and its suffix.

        A JPEG when the last step that is drawn is `jpeg`, so that it is compressed once alone; else
        a PNG. Steps named in `without` are left out.
        """
        rng = self.rng(name, without)
        drawn = self.drawn_steps(rng)
        last = drawn[-1].degrade if drawn and drawn[-1].key not in rng.skip else None
        for step in drawn[:-1] if isinstance(last, Jpeg) else drawn:
            picture = step(picture, rng)
        if isinstance(last, Jpeg):
            return last.encode(picture, rng), ".jpg"
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), ".png"


def _read(step: str | Mapping[str, Any]) -> RecipeStep:
    settings: dict[str, Any] = {}
    if isinstance(step, str):
        title = step
    elif isinstance(step, Mapping) and len(step) == 1:
        title, given = next(iter(step.items()))
        if not isinstance(title, str) or not isinstance(given or {}, Mapping):
            raise UserError(f"a step is a name, or a name with settings by name, not {step!r}")
        settings = dict(given or {})
    else:
        raise UserError(f"a step is a name, or one name with its settings, not {step!r}")
    p, unseen = settings.pop("p", 1), settings.pop("unseen", False)
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p <= 1:
        raise UserError(
            f"recipe step {title!r}, setting 'p': a probability above 0 up to 1, not {p!r}"
        )
    if not isinstance(unseen, bool):
        raise UserError(f"recipe step {title!r}, setting 'unseen': true or false, not {unseen!r}")
    return RecipeStep(title, _degrade(title, settings), float(p), unseen)


def _degrade(title: str, settings: dict[str, Any]) -> Degrade:
    kind = STEPS.get(title)
    if kind is None and "." in title:
        kind = own_step(title)
    if kind is None:
        raise one_of("step", title, STEPS)
    try:
        if isinstance(kind, type) and issubclass(kind, Step):
            return kind(**settings)
        inspect.signature(kind).bind(None, None, **settings)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        known = ", ".join([*kind.model_fields, "p", "unseen"])  # type: ignore[union-attr]
        raise UserError(
            f"recipe step {title!r}, setting {where!r}: {wrong['msg']}; its settings are: {known}"
        ) from error
    except TypeError as error:
        raise UserError(f"recipe step {title!r}: {error}") from error
    function: Callable[..., Image.Image] = kind
    return lambda picture, rng: function(picture, rng, **settings)
