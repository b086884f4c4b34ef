"""The tab Damage: build a recipe by sliders, and see at once what it does and what is undone."""

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from PIL import Image

from lessonpipe import zoo
from lessonpipe.app.page.jobs import loaded
from lessonpipe.app.page.recipe_state import (
    BuiltRecipe,
    BuiltStep,
    Setting,
    known_recipes,
    settings_of,
)
from lessonpipe.app.page.training import Run, Training
from lessonpipe.app.page.widgets import (
    EXAMPLES,
    QUEUED,
    UNQUEUED,
    comparison_slider,
    model_choices,
)
from lessonpipe.crappify.steps import STEPS
from lessonpipe.data.photos import open_photo
from lessonpipe.errors import LessonpipeError

SHOWN_PX = 640  # the longer side of the photo: it is damaged and restored at every change
LOOK_SECONDS = 3.0  # between two looks at a training
SHARE = Setting("p", "number", 1, 0.05, 1)  # of the pictures, that get the step

Show = Callable[[Any], None]
Part = int | Literal["drawn"] | None  # an end of a range, or whether a number is drawn


def damage_tab(page: gr.Blocks, tab: gr.Tab, training: Training | None) -> None:
    """Builds the tab into the page; it is filled when a visitor selects it."""
    recipes = known_recipes()
    first = "old-photo" if "old-photo" in recipes else next(iter(recipes), None)
    built = gr.State(BuiltRecipe.of(recipes[first]) if first else BuiltRecipe())
    shape = gr.State(0)  # changes when steps come, go or move: their sliders are then drawn anew
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            photo = gr.Image(
                str(EXAMPLES / "photo.jpg"),
                type="filepath",
                image_mode=None,  # the file as it is: what a recipe gets is read as a photo
                label="A photo",
                height=200,
                buttons=[],
                elem_id="photo",
            )
            with gr.Row():
                start = gr.Dropdown(sorted(recipes), value=first, label="Start from", scale=2)
                kind = gr.Dropdown(sorted(STEPS), value="scratch", label="Step", scale=2)
                add = gr.Button("Add", elem_id="add-step", min_width=80, scale=1)
            steps = gr.Column(elem_id="steps")
        with gr.Column(scale=2, min_width=320):
            with gr.Row():
                draw = gr.Slider(1, 50, 1, step=1, label="Draw", info="of the random choices")
                model = gr.Dropdown(model_choices(), label="Model", elem_id="undoing")
            damaged = comparison_slider("damaged", "The photo, and damaged")
            undone = comparison_slider("undone", "Damaged, and restored")
            code = gr.Code(
                language=None,  # whose colours have too little contrast
                label="For params.yaml; then: make run RECIPE=mine",
                interactive=False,
                elem_id="yaml",
            )
            if training:
                _training(training, built)

    def show(change: Any) -> None:
        """After a change, the YAML and both pictures."""
        change.then(BuiltRecipe.as_yaml, built, code, **UNQUEUED).then(
            preview,
            [photo, built, draw, model],
            [damaged, undone],
            concurrency_id="preview",
            trigger_mode="always_last",
            **{**QUEUED, "concurrency_limit": 1},
        )

    with steps:

        @gr.render(inputs=[built], triggers=[shape.change])  # type: ignore[untyped-decorator]
        def draw_steps(recipe: BuiltRecipe) -> None:
            for step in recipe.steps:
                _step(step, built, shape, show)

    page.load(lambda: gr.Dropdown(choices=model_choices()), None, model, **UNQUEUED)
    tab.select(lambda n: n + 1, shape, shape, **QUEUED)
    start.input(
        lambda name, n: (BuiltRecipe.of(recipes[name]), n + 1),
        [start, shape],
        [built, shape],
        **QUEUED,
    )
    add.click(
        lambda recipe, name, n: (recipe.added(name), n + 1),
        [built, kind, shape],
        [built, shape],
        **QUEUED,
    )
    for changed in (shape.change, photo.change, draw.release, model.input):
        show(changed(lambda: None, None, None, **UNQUEUED))


def _training(training: Training, built: gr.State) -> None:
    """A button that trains for the recipe, and how far that is."""
    run = gr.State("")
    train = gr.Button("Train a restorer for this", elem_id="train")
    told = gr.HTML(elem_id="training")
    clock = gr.Timer(LOOK_SECONDS, active=False)

    def start(recipe: BuiltRecipe) -> tuple[str, gr.Timer, gr.Button]:
        try:
            return (
                training.start(recipe.as_steps()),
                gr.Timer(active=True),
                gr.Button(interactive=False),
            )
        except LessonpipeError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def look(run: str) -> tuple[str, gr.Timer, gr.Button]:
        try:
            now = training.look(run)
        except LessonpipeError as error:  # a machine that trains may answer late
            now = Run(str(error), 0)
        if now.succeeded:
            text = "<p role=status>Trained: models/fit_pixel restores it; see the tab Report.</p>"
        elif now.ended:
            text = f"<p role=status>The training ended: {html.escape(now.text)}</p>"
        else:
            bar = f"<progress max=100 value={now.percent:.0f} aria-label=training></progress>"
            text = f"<p>{html.escape(now.text)}</p>{bar}"
        return text, gr.Timer(active=not now.ended), gr.Button(interactive=now.ended)

    train.click(start, built, [run, clock, train], **UNQUEUED)
    clock.tick(look, run, [told, clock, train], **UNQUEUED)


def _step(step: BuiltStep, built: gr.State, shape: gr.State, show: Show) -> None:
    """The controls of one step."""
    title = f"{step.name}: {STEPS[step.name].damage}"
    with gr.Accordion(title, open=False, key=f"step-{step.key}"):
        for setting in [SHARE, *settings_of(step.name)]:
            with gr.Row():
                controls = _controls(step, setting)
            for part, control in controls:
                changed = control.release if isinstance(control, gr.Slider) else control.input
                change = partial(_changed, step.key, setting, part)
                others = [other for end, other in controls if end != part and part is not None]
                show(changed(change, [built, control], [built, *others], **UNQUEUED))
        with gr.Row():
            for text, move in (
                ("Earlier", partial(_moved, step.key, -1)),
                ("Later", partial(_moved, step.key, 1)),
                ("Remove", partial(_removed, step.key)),
            ):
                button = gr.Button(text, size="sm", min_width=60)
                button.click(move, [built, shape], [built, shape], **QUEUED)


def _controls(step: BuiltStep, setting: Setting) -> list[tuple[Part, Any]]:
    """Sliders and boxes of a setting, with the part of it that each sets."""
    value, name = step.value(setting), setting.name

    def slider(
        value: float, label: str, part: Part = None, visible: bool = True
    ) -> tuple[Part, gr.Slider]:
        return part, gr.Slider(
            setting.low,
            setting.high,
            value,
            step=1 if setting.whole else None,
            label=label,
            key=f"{step.key}-{name}-{part}",
            min_width=120,
            visible=visible,
        )

    alike: dict[str, Any] = {"label": name, "key": f"{step.key}-{name}"}
    match setting.kind:
        case "range":
            return [slider(value[0], f"{name}, from", 0), slider(value[1], f"{name}, to", 1)]
        case "number":
            if setting.default is not None:
                return [slider(value, "share of the pictures" if setting is SHARE else name)]
            label, key = f"{name}: drawn for each picture", f"{step.key}-{name}-drawn"
            drawn = gr.Checkbox(value is None, interactive=True, label=label, key=key)
            return [("drawn", drawn), slider(value or _middle(setting), name, None, bool(value))]
        case "choice":
            return [(None, gr.CheckboxGroup(list(setting.options), value=value, **alike))]
        case "flag":
            return [(None, gr.Checkbox(value=value, **alike))]
        case _:
            return [(None, gr.Textbox(value=value or "", max_length=60, **alike))]


def _middle(setting: Setting) -> int:
    return round((setting.low + setting.high) / 2)


def _changed(key: int, setting: Setting, part: Part, recipe: BuiltRecipe, value: Any) -> Any:
    """The recipe with another value; of a range the other end as well, which may have to move.

    Of a number that is drawn or not its slider, which comes or goes.
    """
    if part == "drawn":
        number = None if value else _middle(setting)
        slider = gr.update(visible=not value, value=_middle(setting))
        return recipe.with_setting(key, setting.name, number), slider
    recipe = recipe.with_setting(key, setting.name, value, part)
    if part is None:
        return recipe
    step = next((step for step in recipe.steps if step.key == key), None)
    return recipe, step.value(setting)[1 - part] if step else gr.skip()


def _moved(key: int, by: int, recipe: BuiltRecipe, shape: int) -> tuple[BuiltRecipe, int]:
    return recipe.moved(key, by), shape + 1


def _removed(key: int, recipe: BuiltRecipe, shape: int) -> tuple[BuiltRecipe, int]:
    return recipe.removed(key), shape + 1


def preview(
    photo: str | None, recipe: BuiltRecipe, draw: int, model: str
) -> tuple[tuple[Image.Image, Image.Image], tuple[Image.Image, Image.Image]]:
    """The photo and what the recipe makes of it; that, and what the model makes of that.

    Raises Gradio's error, with the reason as its text, for what cannot be done.
    """
    if photo is None:
        raise gr.Error("Choose a photo first.", print_exception=False)
    try:
        good = open_photo(Path(photo))
        good.thumbnail((SHOWN_PX, SHOWN_PX))
        damaged = recipe.recipe().degrade(good, f"draw {draw}") if recipe.steps else good
        restored = loaded(zoo.find_model(model))(damaged, size=good.size)
    except LessonpipeError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return (good, damaged.resize(good.size, Image.Resampling.BICUBIC)), (
        damaged.resize(good.size, Image.Resampling.BICUBIC),
        restored,
    )
