"""What the tabs share: models to choose from, sliders between two pictures, kinds of events."""

from pathlib import Path
from typing import Any

import gradio as gr

from lessonpipe import zoo
from lessonpipe.app.registry import PRODUCTION, TRAINED, default_model

EXAMPLES = Path(__file__).parent / "examples"
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
UNQUEUED: dict[str, Any] = {"queue": False, **_PRIVATE}
QUEUED: dict[str, Any] = {"concurrency_limit": None, **_PRIVATE}  # only then gr.render draws anew


def model_choices() -> list[str]:
    """The models at hand: the one that is the default, then the others."""
    own = [str(folder) for folder in (PRODUCTION, TRAINED) if (folder / "model.json").is_file()]
    default = default_model()
    first = default.name if default.parent == zoo.ZOO else str(default)
    return list(dict.fromkeys([first, *own, *zoo.names()]))


def comparison_slider(elem_id: str, label: str | None = None, **options: Any) -> gr.ImageSlider:
    """A slider between two pictures of one size, in full."""
    return gr.ImageSlider(
        type="filepath",
        label=label,
        max_height=2000,
        buttons=["fullscreen"],
        interactive=False,
        elem_id=elem_id,
        **options,
    )
