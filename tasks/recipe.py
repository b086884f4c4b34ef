"""Look up the steps of the chosen recipe: params -> data/recipe.json.

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
    write_json(out, p.recipe, fsync=True)
    print(f"{len(p.recipe)} steps: {', '.join(map(str, p.recipe))}")
