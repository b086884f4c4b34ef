"""Look up the steps of the chosen recipe, and of a target: params -> data/recipe.json.

    python -m tasks recipe

Crappify depends on this file and not on every recipe, so that an edit of another recipe does not
run it again.
"""

from pathlib import Path

from lessonpipe.io.atomic import write_json
from tasks.crappify import Params

SECTION = "crappify"


def run(p: Params, out: Path = Path("data/recipe.json")) -> None:
    """Write the steps."""
    steps = p.recipe if p.target is None else {"recipe": p.recipe, "target": p.target}
    write_json(out, steps, fsync=True)
    print(f"{len(p.recipe)} steps: {', '.join(map(str, p.recipe))}")
