"""The stages and flows, importable where the command runs: a clone's, else the installed ones."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lessonpipe.cluster.session import INSTALLED
from lessonpipe.errors import UserError

ROOMS = ("flows", "lessons", "tasks")


@contextmanager
def project_modules() -> Iterator[None]:
    """Import from the working folder, which an installed command does not, then from the wheel.

    The same holds for processes that are started here. Raises `UserError` when stages are neither
    there nor installed, and when what they need is not.
    """
    here = str(Path.cwd())
    places = [here, str(INSTALLED)] if INSTALLED.is_dir() else [here]
    if here not in sys.path:
        sys.path.insert(0, here)
    sys.path.extend(place for place in places if place not in sys.path)
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*places, *inherited]))
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ROOMS:
            raise UserError(
                f"there is no {package}/ here; run it in the project's folder"
            ) from error
        if package in ("dvc", "jinja2", "matplotlib", "prefect", "ray"):
            raise UserError(
                f"{package} is not installed, which training needs: "
                "pip install 'lessonpipe[pipeline]'"
            ) from error
        raise
