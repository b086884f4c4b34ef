"""What a short training learns of each recipe of params.yaml: docs/recipes.md, with pictures.

    python -m flows recipes [NAME ...] [--side-by-side 2]

Runs what has not been run yet (the `short` profile), as DVC experiments that leave the workspace
alone. After an interruption it continues; `dvc exp remove` an experiment to run it anew.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from flows.dvc import dvc
from flows.experiments.queue import Experiment, finished, run_all
from lessonpipe.errors import one_of
from lessonpipe.io.atomic import atomic_write, read_json
from lessonpipe.io.storage import to_bytes
from lessonpipe.report.summary import headline, summary_table
from tasks.pipeline import params, profiles

PAGE = Path("docs/recipes.md")
GRIDS = Path("docs/recipes")
INTRODUCTION = """# Recipes, tried

Each recipe of `params.yaml`, trained for a few minutes (`profiles/short.yaml`: to see that it is
learnt, not how well it can be) and measured on photos of other rooms. Figures are means, that of
PSNR with its 95 % interval. Colourfulness and sharpness are shares of the photo's. `superres-256`
is for tiles larger than these of 288 pixels, which it hardly degrades.

This page is made by `python -m flows recipes`; one recipe by `make run PROFILE=short RECIPE=NAME`.
"""


def show(names: Iterable[str], side_by_side: int = 1) -> None:
    """Run the named recipes, or all, where they have not been run, and write the page of all.

    Raises `UserError`, listing the right names, for a wrong one.
    """
    recipes = params.read()["recipes"]
    names = list(names) or list(recipes)
    for name in names:
        if name not in recipes:
            raise one_of("recipe", name, recipes)
    experiments = {name: experiment(name) for name in recipes}
    run_all((experiments[name] for name in names), side_by_side)
    existing = finished()
    parts = [INTRODUCTION.rstrip()]
    for name, steps in recipes.items():
        if experiments[name].name in existing:
            parts.append(section(name, steps, experiments[name]))
    atomic_write(PAGE, "\n\n".join(parts) + "\n")
    print(f"look at {PAGE}")


def experiment(recipe: str) -> Experiment:
    """The short run of a recipe, from `download` to `evaluate`."""
    short = profiles.overrides("short")
    return Experiment(stage="evaluate", overrides=[*short, f"crappify.recipe={recipe}"])


def section(name: str, steps: list[Any], run: Experiment) -> str:
    """A recipe's steps, measures and pictures, taken from its experiment, as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        for file in ("metrics.json", "grid.jpg"):
            dvc("get", ".", f"reports/{file}", "--rev", run.name, "-o", Path(folder) / file)
        metrics = read_json(Path(folder) / "metrics.json")
        atomic_write(GRIDS / f"{name}.jpg", small_jpeg(Path(folder) / "grid.jpg"))
    text = yaml.safe_dump(steps, sort_keys=False, default_flow_style=True).strip()
    return (
        f"## {name}\n\n`{text}`\n\n{headline(metrics)}\n\n{summary_table(metrics).markdown()}\n\n"
        f"![{name}: crappy, restored, photo]({GRIDS.name}/{name}.jpg)"
    )


def small_jpeg(image: Path, width: int = 900) -> bytes:
    """The image as a JPEG of at most `width` pixels, for a page of the docs."""
    with Image.open(image) as picture:
        picture.thumbnail((width, 8 * width), Image.Resampling.LANCZOS)
        return bytes(to_bytes(lambda file: picture.save(file, "JPEG", quality=80)))
