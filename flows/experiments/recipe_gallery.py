"""What a short run learns from each recipe of params.yaml: docs/recipes.md, a grid a recipe.

    python -m flows recipes [NAME ...] [--side-by-side 2]

Runs what has not been run yet (the `short` profile), as DVC experiments that leave the workspace
alone. Broken off, it goes on; `dvc exp remove` one to run it anew.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml
from PIL import Image

from flows.experiments.queue import Experiment, dvc, finished, run_all
from lessonpipe.errors import one_of
from lessonpipe.io.atomic import atomic_write, read_json
from lessonpipe.io.storage import to_bytes
from lessonpipe.report.summary import headline, summary_table
from tasks.pipeline import profiles

PAGE = Path("docs/recipes.md")
GRIDS = Path("docs/recipes")
TELL = """# Recipes, tried

Each recipe of `params.yaml`, trained for a few minutes (`profiles/short.yaml`: to see that it is
learnt, not how well it can be) and measured on photos of other rooms. PSNR is the median with the
mean's 95 % interval; `control` is trained by pixels for the same steps as `feature`. Colourfulness
and sharpness are shares of the photo's.

The `gan` rows are the generator's but for a last digit, since `short` has the GAN see only twice 80
pictures; and of `jpeg` next to nothing was learnt (+0.01 and +0.04 dB, with intervals around zero).
`superres-256` is for tiles larger than these of 288 pixels, which it hardly spoils.

This page is made by `python -m flows recipes`; one recipe by `make run PROFILE=short RECIPE=NAME`.
"""


def show(names: Iterable[str], side_by_side: int = 1) -> int:
    """Run what is missing of the named recipes, or of all, and write the page with all there is."""
    recipes = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["recipes"]
    for name in names:
        if name not in recipes:
            raise one_of("recipe", name, recipes)
    runs = {name: experiment(name) for name in recipes}
    run_all((runs[name] for name in list(names) or recipes), side_by_side)
    tried = finished()
    parts = [TELL.rstrip()]
    for name, run in runs.items():
        if run.name in tried:
            parts.append(section(name, run))
    atomic_write(PAGE, "\n\n".join(parts) + "\n")
    print(f"look at {PAGE}")
    return 0


def experiment(recipe: str) -> Experiment:
    """The short run of a recipe, start to end."""
    words = [*profiles.words("short"), *profiles.words(f"crappify.recipe={recipe}")]
    return Experiment(stage="evaluate", words=[word for word in words if word != "-S"])


def section(name: str, run: Experiment) -> str:
    """A recipe's steps, measures and grid, taken from its experiment."""
    steps = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["recipes"][name]
    with tempfile.TemporaryDirectory() as folder:
        for file in ("metrics.json", "grid.jpg"):
            dvc("get", ".", f"reports/{file}", "--rev", run.name, "-o", Path(folder) / file)
        metrics = read_json(Path(folder) / "metrics.json")
        atomic_write(GRIDS / f"{name}.jpg", small(Path(folder) / "grid.jpg"))
    told = yaml.safe_dump(steps, sort_keys=False, default_flow_style=True).strip()
    return (
        f"## {name}\n\n`{told}`\n\n{headline(metrics)}\n\n{summary_table(metrics).markdown()}\n\n"
        f"![{name}: crappy, restored, photo]({GRIDS.name}/{name}.jpg)"
    )


def small(grid: Path, width: int = 900) -> bytes:
    """The grid as a JPEG that a page of the docs can hold."""
    with Image.open(grid) as picture:
        picture.thumbnail((width, 8 * width), Image.Resampling.LANCZOS)
        return bytes(to_bytes(lambda file: picture.save(file, "JPEG", quality=80)))
