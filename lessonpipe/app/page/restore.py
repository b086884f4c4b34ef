"""The tab Restore: pictures in, a slider between before and after, files to download."""

import html
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from lessonpipe import zoo
from lessonpipe.app.page.jobs import Item, Settings, restore_items
from lessonpipe.app.page.visitors import Visitors
from lessonpipe.app.page.widgets import EXAMPLES, UNQUEUED, comparison_slider, model_choices
from lessonpipe.data.formats import suffixes

MAX_FILES = 200
NONE = "none"
ENDED = {"restored": "restored", "failed": "not restored"}


def restore_tab(page: gr.Blocks, visitors: Visitors) -> None:
    """Builds the tab into the page."""
    results = gr.State(())
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            pictures, settings = _inputs(page)
            with gr.Row():
                start = gr.Button("Restore", variant="primary", elem_id="restore")
                stop = gr.Button("Stop", interactive=False, elem_id="stop")
            _examples(pictures)
        with gr.Column(scale=2, min_width=320):
            status = gr.HTML(_status([]), elem_id="status")
            items = gr.HTML(_list([]), elem_id="items")
            chosen = gr.Dropdown([], label="Shown", visible=False, elem_id="shown")
            with gr.Row():
                shown = [comparison_slider(name, visible=False) for name in ("slider", "beside")]
            with gr.Row():
                shown.append(gr.DownloadButton("Download this one", visible=False, elem_id="one"))
                every = gr.DownloadButton("Download all (zip)", visible=False, elem_id="all")
    buttons = [start, stop]
    running = start.click(_busy, None, buttons, **UNQUEUED).then(
        _restore(visitors),
        [pictures, *settings],
        [status, items, results, chosen, *shown, every],
        concurrency_id="restore",
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=[status],
        api_visibility="private",
    )
    running.then(_ready, None, buttons, **UNQUEUED)
    ended = stop.click(lambda: None, None, None, cancels=[running], **UNQUEUED)
    # after the work has ended, whose last answer would else come later and replace this one
    ended.then(_stopped, results, [*buttons, status, items, every], **UNQUEUED)
    chosen.input(_show, [results, chosen], shown, **UNQUEUED)


def _inputs(page: gr.Blocks) -> tuple[gr.File, list[gr.components.Component]]:
    """What a visitor chooses: files, then what `Settings` are made of."""
    choices = model_choices()
    pictures = gr.File(
        label="Pictures: drop, choose or paste",
        file_count="multiple",
        file_types=sorted(suffixes()),
        elem_id="pictures",
        height=180,
    )
    _adding(pictures)
    model = gr.Dropdown(choices, value=choices[0], label="Model")
    with gr.Accordion("More", open=False, elem_id="more"):
        other = gr.Dropdown([NONE, *choices], value=NONE, label="Beside it, another model")
        strength = gr.Slider(
            0, 1, 1, step=0.05, label="Strength", info="0: as it was; 1: the model's answer"
        )
        tone = gr.Slider(
            0, 1, 1, step=0.05, label="Tones", info="0: repaired, and as faded as it was"
        )
        scale = gr.Slider(1, 4, 1, step=0.5, label="Enlarge", info="times its size")
        gps = gr.Checkbox(True, label="Keep where it was taken (GPS)", elem_id="gps")
    page.load(  # one may have been trained since the page was started
        lambda: (
            gr.Dropdown(choices=model_choices()),
            gr.Dropdown(choices=[NONE, *model_choices()]),
        ),
        None,
        [model, other],
        **UNQUEUED,
    )
    return pictures, [model, other, strength, tone, scale, gps]


def _adding(pictures: gr.File) -> None:
    """A button for more pictures beside those that are chosen, once some are."""
    add = gr.UploadButton(
        "Add pictures",
        file_count="multiple",
        file_types=sorted(suffixes()),
        size="sm",
        visible=False,
        elem_id="add",
    )
    pictures.change(lambda files: gr.update(visible=bool(files)), pictures, add, **UNQUEUED)
    add.upload(lambda files, more: [*(files or []), *more], [pictures, add], pictures, **UNQUEUED)


def _examples(pictures: gr.File) -> None:
    """Pictures to click on, which become the chosen ones."""
    files = sorted(EXAMPLES.glob("old-*.jpg"))

    def choose(event: gr.SelectData) -> list[str]:
        return [str(files[event.index])]

    gallery = gr.Gallery(
        [(str(file), file.stem.replace("-", " ")) for file in files],
        label="Or one of these",
        columns=len(files),
        height=210,
        allow_preview=False,
        buttons=[],
        elem_id="examples",
    )
    gallery.select(choose, None, pictures, **UNQUEUED)


def _busy() -> tuple[gr.Button, gr.Button]:
    return gr.Button(interactive=False), gr.Button(interactive=True)


def _ready() -> tuple[gr.Button, gr.Button]:
    return gr.Button(interactive=True), gr.Button(interactive=False)


def _stopped(items: Sequence[Item]) -> tuple[Any, ...]:
    """What was restored until a visitor pressed Stop; the archive lies beside the files."""
    left = [replace(i, state="stopped") if i.state not in ENDED else i for i in items]
    done = [item.files[0] for item in items if item.files]
    archive = _archive(items, done[0].parents[2] / "restored.zip") if done else gr.skip()
    return *_ready(), _status(left), _list(left), archive


def _restore(visitors: Visitors) -> Callable[..., Iterator[tuple[Any, ...]]]:
    """Restores for one visitor; yields what the page shows of it."""

    def run(
        request: gr.Request, files: list[str] | None, model: str, other: str, *how: Any
    ) -> Iterator[tuple[Any, ...]]:
        if not files:
            raise gr.Error("Choose a picture first.", print_exception=False)
        if len(files) > MAX_FILES:
            text = f"{len(files)} files are more than {MAX_FILES}; the command has no such limit."
            raise gr.Error(text, print_exception=False)
        names = dict.fromkeys([model] if other == NONE else [model, other])
        settings = Settings(tuple(map(zoo.find_model, names)), *how)
        shown = None
        with (
            visitors.folder(request) as place,
            closing(restore_items([Path(file) for file in files], settings, place)) as states,
        ):
            for items in states:
                done = [(item.name, i) for i, item in enumerate(items) if item.files]
                chosen = {"choices": done, "visible": len(done) > 1}
                pictures: tuple[Any, ...] = (gr.skip(),) * 3
                if shown is None:  # of an earlier run nothing is left; the first done is shown
                    shown = done[0][1] if done else None
                    pictures, chosen["value"] = _show(items, shown), shown
                listed = _status(items), _list(items), items
                yield *listed, gr.update(**chosen), *pictures, gr.update(visible=False)
            yield *(gr.skip(),) * 7, _archive(items, place / "restored.zip")

    return run


def _show(items: Sequence[Item], index: int | None) -> tuple[Any, ...]:
    """The sliders and the download button for one of the items, or hidden."""
    if index is None:
        return (
            gr.ImageSlider(value=None, visible=False),
            gr.ImageSlider(value=None, visible=False),
            gr.DownloadButton(value=None, visible=False),
        )
    item = items[index]
    sliders = [
        gr.ImageSlider(
            value=(item.before, after), visible=True, label=f"{item.name}: before, after"
        )
        for after in item.after
    ]
    if len(sliders) == 1:
        sliders.append(gr.ImageSlider(value=None, visible=False))
    return *sliders, gr.DownloadButton(value=str(item.files[0]), visible=True)


def _archive(items: Sequence[Item], path: Path) -> gr.DownloadButton:
    """A button for all restored files in one zip, if they are several."""
    files = [file for item in items for file in item.files]
    if len(files) < 2:
        return gr.DownloadButton(value=None, visible=False)
    with zipfile.ZipFile(path, "w") as archive:  # pictures are compressed already
        for item in items:
            for number, file in enumerate(item.files, 1):
                below = f"model-{number}/" if len(item.files) > 1 else ""
                archive.write(file, _free_name(archive, below + file.name))
    return gr.DownloadButton(value=str(path), visible=True)


def _free_name(archive: zipfile.ZipFile, name: str) -> str:
    """The name, or one like it that the archive does not hold."""
    taken, path, number = set(archive.namelist()), Path(name), 1
    while name in taken:
        number += 1
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    return name


def _status(items: Sequence[Item]) -> str:
    """How many are done, which a screen reader says when it changes."""
    if not items:
        return '<p role="status">Nothing leaves this machine.</p>'
    ended = sum(item.state in ENDED for item in items)
    return f'<p role="status">{ended} of {len(items)} done</p>'


def _list(items: Sequence[Item]) -> str:
    """Each picture, where it stands, and what is to be said of it."""
    rows = "".join(
        f'<li class="{item.state}"><span>{html.escape(item.name)}</span> '
        f"<b>{_state(item)}</b> <small>{html.escape(item.note)}</small></li>"
        for item in items
    )
    share = sum(1.0 if item.state in ENDED else item.share for item in items)
    working = any(item.state in ("waiting", "working") for item in items)
    bar = f'<progress max="{len(items)}" value="{share:.2f}" aria-label="done"></progress>'
    return f'{bar if working else ""}<ul class="items">{rows}</ul>' if items else ""


def _state(item: Item) -> str:
    return f"{item.share:.0%}" if item.state == "working" else ENDED.get(item.state, item.state)
