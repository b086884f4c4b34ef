"""Look up which steps the recipe has: params -> data/recipe.json.

    python -m tasks recipe

Crappify depends on these steps and not on every recipe, so that an edit of another one is none
of its business.
"""

from pathlib import Path

from lessonpipe.io.atomic import write_json
from tasks.crappify import Params

SECTION = "crappify"


def run(p: Params, out: Path = Path("data/recipe.json")) -> None:
    """Write the steps."""
    write_json(out, p.recipe)
    print(f"{len(p.recipe)} steps: {', '.join(map(str, p.recipe))}")
